"""What every case is given, and what cases share."""

import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from tests.benchmarks.speed.process import BATCHER, Broken, Ran, run
from tests.benchmarks.speed.provider import Provider

T = TypeVar("T")
CONCURRENCY = 64
_LOOPS = Path(__file__).parent / "loops"


class Bench(Struct, frozen=True, kw_only=True):
    """Where files are kept, who answers, how often a case is repeated, and how many rows its runs have."""

    folder: Path
    provider: Provider
    repeats: int
    rows: int

    @property
    def files(self) -> Path:
        """Where job files are kept from one run of the benchmarks to the next."""
        return self.folder / "files"

    @contextmanager
    def fresh(self) -> Iterator[Path]:
        """An empty folder for one repeat."""
        place = Path(mkdtemp(dir=self.folder, prefix="repeat-"))
        try:
            yield place
        finally:
            shutil.rmtree(place)

    def settings(self) -> tuple[object, ...]:
        """How `batcher` is told of the provider: no limits, and so many in flight."""
        return ("--base-url", self.provider.base_url, "--concurrency", CONCURRENCY)

    def batcher(self, cwd: Path, *argv: object, under: tuple[object, ...] = ()) -> Ran:
        """One command of the program on the store in `cwd`; `under` is a program that watches it."""
        return run(*under, *BATCHER, *argv, "--db", cwd / "b.db", cwd=cwd)

    def run(self, cwd: Path, file: Path, *argv: object, under: tuple[object, ...] = ()) -> Ran:
        """`batcher run` of the file, its results beside the store."""
        return self.batcher(cwd, "run", file, *self.settings(), "-o", cwd / "out.jsonl", *argv, under=under)


class Loop(Struct, frozen=True, kw_only=True):
    """What a loop beside the program tells, from its first request or row on."""

    seconds: float
    cpu: float


def bare(bench: Bench, cwd: Path, file: Path) -> Loop:
    """The bare loop over the same file, in its own process."""
    return _loop("bare.py", file, bench.provider.base_url, CONCURRENCY, cwd=cwd)


def plain_sqlite(cwd: Path, file: Path) -> Loop:
    """The plain loop into SQLite, in its own process."""
    return _loop("plain_sqlite.py", file, cwd / "plain.db", cwd=cwd)


def _loop(program: str, *argv: object, cwd: Path) -> Loop:
    return msgspec.json.decode(run(sys.executable, _LOOPS / program, *argv, cwd=cwd).out, type=Loop)


def asked_of(store: Path, query: str, *values: int) -> tuple[Any, ...]:
    """The one row that a question to a store gives, read beside whoever works it."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        row = connection.execute(query, values).fetchone()
    return tuple(row)


def seconds_of_sending(store: Path) -> float:
    """From the first request to the last reply, as the attempts say."""
    first, last = asked_of(store, "SELECT min(sent_at), max(ended_at) FROM attempts")
    return float(last - first) / 1e6


def lines_in(path: Path) -> int:
    """How many lines the file has."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def check_whole(results: Path, rows: int) -> None:
    """A figure of a run that did not answer every row says nothing: it ends the benchmark."""
    found = lines_in(results)
    if found != rows:
        raise Broken(f"{results}: {found:,} results for {rows:,} rows")


def every(repeats: Sequence[T], what: Callable[[T], float]) -> list[float]:
    """One figure of every repeat."""
    return [what(repeat) for repeat in repeats]
