"""`python -m tests.benchmarks.speed.profile [--rows N]`: where the time of a run goes (py-spy).

Writes a flame graph to build/profile.svg and prints two tables: the lines that were at work, and the packages of
the program that had it done, libraries counted with the package that called them. A sample is a thread that is
not idle.
"""

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.benchmarks.speed.bench import Bench, check_whole
from tests.benchmarks.speed.figures import table
from tests.benchmarks.speed.jobfiles import chat_file
from tests.benchmarks.speed.process import ROOT
from tests.benchmarks.speed.provider import serving

_PLACES: Final = (Path(sys.executable).parent, ROOT / "build" / "tools" / "profile" / "bin")
_RATE: Final = "500"
_SHOWN: Final = 40


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed.profile", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--graph", type=Path, default=ROOT / "build" / "profile.svg")
    asked = parser.parse_args()
    folder = ROOT / "build" / "bench"
    with serving(folder / "provider") as provider:
        bench = Bench(folder=folder, provider=provider, repeats=1, rows=asked.rows)
        counted = dict(read_stacks(_recorded(bench, asked.graph)))
    for title, counts in (("at work", by_line(counted)), ("for whom", by_room(counted))):
        sys.stdout.write(f"{_shares(title, counts)}\n\n")
    sys.stdout.write(f"flame graph: {asked.graph}\n")
    return 0


def _recorded(bench: Bench, graph: Path) -> str:
    """Two runs watched: one drawn, one as the stacks that were seen."""
    file = chat_file(bench.files, bench.rows)
    with bench.fresh() as place:
        stacks = place / "stacks"
        for form, out in (("flamegraph", graph), ("raw", stacks)):
            watched = (_py_spy(), "record", "-r", _RATE, "-f", form, "-o", out, "--")
            bench.run(place, file, "--new", under=watched)
            check_whole(place / "out.jsonl", bench.rows)
        return stacks.read_text(encoding="utf-8")


def _py_spy() -> str:
    found = shutil.which("py-spy", path=":".join(map(str, _PLACES)))
    if found is None:
        raise SystemExit("py-spy is not installed; `make profile` brings it")
    return found


def read_stacks(raw: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Stacks as py-spy writes them, outermost frame first: `a (x.py:1);b (y.py:2) 17`."""
    for line in raw.splitlines():
        frames, _, count = line.rpartition(" ")
        yield tuple(frames.split(";")), int(count)


def by_line(stacks: Mapping[tuple[str, ...], int]) -> Counter[str]:
    """Samples of the innermost frames."""
    counts: Counter[str] = Counter()
    for frames, count in stacks.items():
        counts[frames[-1]] += count
    return counts


def by_room(stacks: Mapping[tuple[str, ...], int]) -> Counter[str]:
    """Samples of the innermost modules of ours, whatever they called."""
    counts: Counter[str] = Counter()
    for frames, count in stacks.items():
        counts[next(filter(None, map(_module, reversed(frames))), "outside")] += count
    return counts


def _module(frame: str) -> str:
    """`batcher/store/settle.py` of `settle (batcher/store/settle.py:160)`; "" where the frame is not ours."""
    path = frame.rpartition("(")[2].partition(":")[0]
    at = path.rfind("batcher/")
    return path[at:] if at >= 0 and "site-packages" not in path else ""


def _shares(title: str, counts: Counter[str]) -> str:
    total = sum(counts.values()) or 1
    rows = [(f"{count / total:6.1%}", name) for name, count in counts.most_common(_SHOWN)]
    return table([("share", title), *rows])


if __name__ == "__main__":
    sys.exit(main())
