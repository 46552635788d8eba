"""`python -m tests.benchmarks.speed [CASE…] [--repeats N] [--rows N] [--json FILE]`: as fast as the loop under it.

Prints a table of what is asked and what is measured, and writes it with every repeat as JSON. Ends with 1 where a
figure is short. `… compare A.json B.json` sets two such files side by side; `… pieces` measures the pieces of the
hot path one by one.
"""

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from sqlite3 import sqlite_version
from typing import Final

import msgspec

from tests.benchmarks.speed import answering, pieces, storing
from tests.benchmarks.speed.bench import Bench
from tests.benchmarks.speed.figures import Figure, Report, compared, number, shown
from tests.benchmarks.speed.process import ROOT, Broken
from tests.benchmarks.speed.provider import Provider, serving

CASES: Final[dict[str, Callable[[Bench], list[Figure]]]] = {
    "help": storing.starting,
    "run": answering.beside_the_bare_loop,
    "fsync": answering.with_a_slow_disk,
    "large": answering.large_bodies,
    "cached": answering.from_the_cache,
    "submit": storing.storing_a_million,
    "half": storing.on_a_half_done_store,
    "million": storing.beside_a_small_one,
}
#: More than five minutes each where the machine is what the issue names.
LONG: Final = frozenset({"million"})
_PACKAGES: Final = ("aiohttp", "msgspec", "sqlalchemy", "click")
_ROWS: Final = 50_000
_PIECE_ROWS: Final = 8_000
_FOLDER: Final = ROOT / "build" / "bench"
#: Above this somebody else works the machine, and wall times say little.
_QUIET_LOAD: Final = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(argv)
    match asked.case:
        case ["compare", before, after]:
            sys.stdout.write(compared(_read(before), _read(after)) + "\n")
            return 0
        case ["pieces"]:
            sys.stdout.write(pieces.measured(asked.folder, asked.rows or _PIECE_ROWS) + "\n")
            return 0
        case names:
            return _measure(names, asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__)
    parser.add_argument(
        "case", nargs="*", help=f"any of: {', '.join(CASES)}; all of them; all but {', '.join(LONG)} by default"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rows", type=int, help="of a run whose size is not named; 50,000, of pieces 8,000")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where job files and stores are kept")
    return parser


def _measure(names: Sequence[str], asked: argparse.Namespace) -> int:
    unknown = [name for name in names if name not in {*CASES, "all"}]
    if unknown:
        raise SystemExit(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}, and all")
    chosen = CASES if "all" in names else names or [name for name in CASES if name not in LONG]
    load = os.getloadavg()[0]
    figures: list[Figure] = []
    broken = False
    with serving(asked.folder / "provider") as provider:
        bench = Bench(folder=asked.folder, provider=provider, repeats=asked.repeats, rows=asked.rows or _ROWS)
        for name in chosen:
            sys.stderr.write(f"{name} …\n")
            try:
                figures += CASES[name](bench)
            except Broken as error:
                broken = True
                sys.stderr.write(f"{error}\n")
            report = _report(provider, load, figures)
            _keep(asked.json, report)
    sys.stdout.write(f"{_setting(report)}\n\n{shown(figures)}\n")
    return 0 if not broken and all(figure.is_met for figure in figures) else 1


def _keep(place: Path, report: Report) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _setting(report: Report) -> str:
    busy = "; others are at work, so trust CPU rather than seconds" if report.load > _QUIET_LOAD else ""
    answering_by = f"answered by {report.provider}"
    if report.provider != "nginx":
        answering_by += " (nginx is not installed: the provider takes a core and bounds every rate)"
    return f"{report.commit} on {report.machine}, {answering_by}, load {number(report.load)} at the start{busy}"


def _report(provider: Provider, load: float, figures: Sequence[Figure]) -> Report:
    versions = {name: version(name) for name in _PACKAGES}
    return Report(
        commit=_commit(),
        machine=f"{platform.node()} ({os.cpu_count()} cores, {platform.machine()}, {platform.release()})",
        provider=provider.name,
        load=load,
        versions=versions | {"python": platform.python_version(), "sqlite": sqlite_version},
        figures=figures,
    )


def _commit() -> str:
    """The short name of the commit, with a `+` where the checkout holds changes."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def _read(file: str) -> Report:
    return msgspec.json.decode(Path(file).read_bytes(), type=Report)


if __name__ == "__main__":
    sys.exit(main())
