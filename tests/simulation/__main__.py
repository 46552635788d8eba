"""`make simulate-long`: play SEEDS seeds from FIRST on, on both cores; or one SEED, printed step by step."""

import os
import sys
from multiprocessing import Pool
from time import process_time

from msgspec import Struct

from tests.simulation.simulation import play
from tests.simulation.watcher import Broken

_PROCESSES = 2
_TELL_EVERY = 500


class Tried(Struct, frozen=True):
    """The result of a seed; `broken` is empty if every invariant held."""

    seed: int
    broken: str
    kills: int
    arrivals: int
    cpu_s: float


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def try_seed(seed: int) -> Tried:
    began = process_time()
    try:
        played = play(seed)
    except Broken as broken:
        return Tried(seed, str(broken), 0, 0, process_time() - began)
    return Tried(seed, "", played.kills, played.arrivals, process_time() - began)


def main() -> int:
    """Return the exit code: 0 if every invariant held for every seed."""
    if seed := os.environ.get("SEED"):
        _say(str(play(int(seed), tell=_say)))
        return 0
    first, count = int(os.environ.get("FIRST", "0")), int(os.environ.get("SEEDS", "10000"))
    kills = arrivals = 0
    broken: list[int] = []
    cpu_s = 0.0
    with Pool(_PROCESSES) as pool:
        tried = pool.imap_unordered(try_seed, range(first, first + count), chunksize=10)
        for done, each in enumerate(tried, 1):
            kills, arrivals, cpu_s = kills + each.kills, arrivals + each.arrivals, cpu_s + each.cpu_s
            if each.broken:
                broken.append(each.seed)
                _say(each.broken)
            if done % _TELL_EVERY == 0 or done == count:
                _say(
                    f"{done:,} of {count:,} seeds, {arrivals:,} requests, {kills:,} kills, {cpu_s:,.0f} s of CPU;"
                    f" broken: {sorted(broken) or 'none'}",
                )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
