"""Cases of a whole run: beside the bare loop, on a slow disk, with large bodies, and from the cache."""

import shutil
import sys
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from tests.benchmarks.speed.bench import Bench, Loop, asked_of, bare, check_whole, every, seconds_of_sending
from tests.benchmarks.speed.figures import Figure
from tests.benchmarks.speed.jobfiles import big_file, chat_file
from tests.benchmarks.speed.process import Broken, Ran

_BIG_ROWS, _BIG_MEGABYTES = 200, 5
#: Nine runs of the slow disk, some of them slow: fewer rows, so that all cases take minutes.
_WATCHED_ROWS = 20_000
_STRACE = ("strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync")
_DELAYED = (*_STRACE, "-e", "inject=fsync,fdatasync:delay_exit=10000")


class _Run(Struct, frozen=True, kw_only=True):
    """One run: its process, its seconds from first to last request, how large its store is of what went in.

    And how many answers one transaction took, on average.
    """

    ran: Ran
    sending: float
    swelling: float
    group: float


class _Pair(Struct, frozen=True, kw_only=True):
    """The bare loop and the run beside it."""

    bare: Loop
    run: _Run


class _Trio(Struct, frozen=True, kw_only=True):
    """The same run as it is, watched, and with every flush delayed."""

    plain: _Run
    watched: _Run
    delayed: _Run


def beside_the_bare_loop(bench: Bench) -> list[Figure]:
    """The run and the bare loop, in turn."""
    file = chat_file(bench.files, bench.rows)
    pairs = [_pair(bench, file, bare_first=number % 2 == 0) for number in range(bench.repeats)]
    return [*_rates(pairs), *_costs(pairs, bench.rows)]


def _pair(bench: Bench, file: Path, *, bare_first: bool) -> _Pair:
    with bench.fresh() as place:
        before = bare(bench, place, file) if bare_first else None
        ran = _run(bench, file)
        return _Pair(bare=before or bare(bench, place, file), run=ran)


def _run(bench: Bench, file: Path, *, under: tuple[object, ...] = ()) -> _Run:
    with bench.fresh() as place:
        ran = bench.run(place, file, under=under)
        check_whole(place / "out.jsonl", bench.rows)
        store = place / "b.db"
        replies, group = asked_of(
            store, "SELECT sum(length(body)), 1.0 * count(*) / count(DISTINCT created_at) FROM responses"
        )
        stored = sum(part.stat().st_size for part in place.glob("b.db*"))
        swelling = stored / (file.stat().st_size + replies)
        return _Run(ran=ran, sending=seconds_of_sending(store), swelling=swelling, group=group)


def _rates(pairs: list[_Pair]) -> list[Figure]:
    return [
        Figure(
            case="run",
            what="first to last request, of the bare loop's rate",
            sense=">=",
            asked=0.5,
            repeats=every(pairs, lambda pair: pair.bare.seconds / pair.run.sending),
        ),
        Figure(
            case="run",
            what="whole command, of the bare loop's rate",
            sense=">=",
            asked=0.4,
            repeats=every(pairs, lambda pair: pair.bare.seconds / pair.run.ran.wall),
        ),
        Figure(
            case="run",
            what="store, of job file + replies",
            asked=1.5,
            repeats=every(pairs, lambda pair: pair.run.swelling),
        ),
    ]


def _costs(pairs: list[_Pair], rows: int) -> list[Figure]:
    def figure(what: str, unit: str, repeats: list[float]) -> Figure:
        return Figure(case="run", what=what, unit=unit, repeats=repeats)

    return [
        figure("CPU a row, bare loop", "µs", every(pairs, lambda pair: pair.bare.cpu / rows * 1e6)),
        figure("CPU a row, whole command", "µs", every(pairs, lambda pair: pair.run.ran.cpu / rows * 1e6)),
        figure("CPU of the bare loop, of ours", "", every(pairs, lambda pair: pair.bare.cpu / pair.run.ran.cpu)),
        figure("bare loop", "rows/s", every(pairs, lambda pair: rows / pair.bare.seconds)),
        figure("first to last request", "rows/s", every(pairs, lambda pair: rows / pair.run.sending)),
        figure("whole command", "rows/s", every(pairs, lambda pair: rows / pair.run.ran.wall)),
        figure("answers a transaction", "", every(pairs, lambda pair: pair.run.group)),
        figure("peak memory", "MiB", every(pairs, lambda pair: pair.run.ran.peak_mib)),
    ]


def with_a_slow_disk(bench: Bench) -> list[Figure]:
    """Every fsync and fdatasync takes 10 ms more; strace alone costs too, so it watches both sides."""
    if shutil.which("strace") is None:
        sys.stderr.write("a slow disk is not measured: strace is not installed\n")
        return []
    bench = replace(bench, rows=min(bench.rows, _WATCHED_ROWS))
    file = chat_file(bench.files, bench.rows)
    trios = [_trio(bench, file) for _ in range(bench.repeats)]
    case = "fsync"
    return [
        Figure(
            case=case,
            what="first to last request with a flush of 10 ms more, of that without",
            sense=">=",
            asked=0.8,
            repeats=every(trios, lambda trio: trio.watched.sending / trio.delayed.sending),
        ),
        Figure(
            case=case,
            what="whole command, the same",
            sense=">=",
            asked=0.8,
            repeats=every(trios, lambda trio: trio.watched.ran.wall / trio.delayed.ran.wall),
        ),
        Figure(
            case=case,
            what="first to last request under strace alone, of that without strace",
            repeats=every(trios, lambda trio: trio.plain.sending / trio.watched.sending),
        ),
        Figure(
            case=case,
            what="first to last request, delayed",
            unit="rows/s",
            repeats=every(trios, lambda trio: bench.rows / trio.delayed.sending),
        ),
    ]


def _trio(bench: Bench, file: Path) -> _Trio:
    return _Trio(
        plain=_run(bench, file),
        watched=_run(bench, file, under=_STRACE),
        delayed=_run(bench, file, under=_DELAYED),
    )


def large_bodies(bench: Bench) -> list[Figure]:
    """200 rows of 5 MB each."""
    file = big_file(bench.files, _BIG_ROWS, _BIG_MEGABYTES)
    with bench.fresh() as place:
        ran = bench.run(place, file)
        check_whole(place / "out.jsonl", _BIG_ROWS)
    return [
        Figure(
            case="large", what="200 rows of 5 MB, peak memory", unit="MiB", asked=400.0, repeats=[ran.peak_mib]
        ),
        Figure(case="large", what="whole command", unit="s", repeats=[ran.wall]),
    ]


class _Recalled(Struct, frozen=True, kw_only=True):
    """A second run of the same rows, nothing sent: the whole command, and the job's own seconds."""

    ran: Ran
    settling: float


def from_the_cache(bench: Bench) -> list[Figure]:
    """A second job with the same bodies is answered by the first one's replies."""
    file = chat_file(bench.files, bench.rows)
    with bench.fresh() as place:
        bench.run(place, file)
        recalled = [_recall(bench, place, file) for _ in range(bench.repeats)]
    rows = bench.rows
    return [
        Figure(
            case="cached",
            what="answered from the cache, whole command",
            unit="rows/s",
            sense=">=",
            asked=20_000,
            repeats=every(recalled, lambda each: rows / each.ran.wall),
        ),
        Figure(
            case="cached",
            what="from the job's start to its end",
            unit="rows/s",
            sense=">=",
            asked=20_000,
            repeats=every(recalled, lambda each: rows / each.settling),
        ),
        Figure(
            case="cached",
            what="CPU a row, whole command",
            unit="µs",
            repeats=every(recalled, lambda each: each.ran.cpu / rows * 1e6),
        ),
    ]


def _recall(bench: Bench, place: Path, file: Path) -> _Recalled:
    ran = bench.run(place, file, "--new", "--cache", "all")
    check_whole(place / "out.jsonl", bench.rows)
    job, started, finished = asked_of(
        place / "b.db", "SELECT id, started_at, finished_at FROM jobs ORDER BY id DESC LIMIT 1"
    )
    (sent,) = asked_of(place / "b.db", "SELECT sum(sends) FROM requests WHERE job_id = ?", job)
    if sent:
        raise Broken(f"{sent:,} rows were sent that the cache should have answered")
    return _Recalled(ran=ran, settling=(finished - started) / 1e6)
