"""Cases around a store: putting a million rows in, starting on one that is half done, and looking at it."""

import shutil
import signal
import statistics
import sys
import time
from hashlib import sha256
from pathlib import Path
from subprocess import Popen

from tests.benchmarks.speed.bench import Bench, Loop, asked_of, every, plain_sqlite
from tests.benchmarks.speed.figures import Figure
from tests.benchmarks.speed.jobfiles import chat_file
from tests.benchmarks.speed.process import BATCHER, ROOT, Broken, Ran, peak_together, run, start

MILLION = 1_000_000
_PATIENCE = 60.0
_SCHEMA = ROOT / "migrations" / "versions"
#: A command of tenths of a second is measured more often.
_SHORT_REPEATS = 15


def storing_a_million(bench: Bench, rows: int = MILLION) -> list[Figure]:
    """`submit`, and the plain loop over the same file before it."""
    file = chat_file(bench.files, rows)
    pairs = [_stored_twice(bench, file) for _ in range(bench.repeats)]
    with bench.fresh() as place:
        argv = (*BATCHER, "submit", file, *bench.settings(), "--db", place / "b.db")
        together = peak_together(*argv, cwd=place)
    return [
        Figure(
            case="submit",
            what=f"submit of {rows:,} rows, of the plain loop's rate",
            sense=">=",
            asked=0.5,
            repeats=every(pairs, lambda pair: pair[0].seconds / pair[1].wall),
        ),
        Figure(
            case="submit",
            what="peak memory, of the larger process",
            unit="MiB",
            asked=150,
            repeats=every(pairs, lambda pair: pair[1].peak_mib),
        ),
        Figure(case="submit", what="peak memory, of both together", unit="MiB", asked=150, repeats=[together]),
        Figure(
            case="submit",
            what="CPU of the plain loop, of ours",
            repeats=every(pairs, lambda pair: pair[0].cpu / pair[1].cpu),
        ),
        Figure(
            case="submit",
            what="CPU a row, plain loop",
            unit="µs",
            repeats=every(pairs, lambda pair: pair[0].cpu / rows * 1e6),
        ),
        Figure(
            case="submit",
            what="CPU a row, submit",
            unit="µs",
            repeats=every(pairs, lambda pair: pair[1].cpu / rows * 1e6),
        ),
        Figure(
            case="submit", what="submit", unit="rows/s", repeats=every(pairs, lambda pair: rows / pair[1].wall)
        ),
    ]


def _stored_twice(bench: Bench, file: Path) -> tuple[Loop, Ran]:
    with bench.fresh() as place:
        plain = plain_sqlite(place, file)
        (place / "plain.db").unlink()
        return plain, bench.batcher(place, "submit", file, *bench.settings())


def beside_a_small_one(bench: Bench, rows: int = MILLION) -> list[Figure]:
    """`run` and `results` of a million rows, and of fewer: memory and cost a row stay as they are."""
    small = [_run_and_export(bench, bench.rows) for _ in range(bench.repeats)]
    peak, cost = _run_and_export(bench, rows)
    small_peak = statistics.median(every(small, lambda each: each[0]))
    small_cost = statistics.median(every(small, lambda each: each[1]))
    name = f"run and results of {rows:,} rows"
    return [
        Figure(case="million", what=f"{name}, peak memory", unit="MiB", asked=250, repeats=[peak]),
        Figure(
            case="million", what=f"peak memory, of that at {bench.rows:,}", asked=1.2, repeats=[peak / small_peak]
        ),
        Figure(
            case="million", what=f"CPU a row, of that at {bench.rows:,}", asked=1.15, repeats=[cost / small_cost]
        ),
        Figure(case="million", what=f"CPU a row at {rows:,}", unit="µs", repeats=[cost * 1e6]),
        Figure(
            case="million",
            what=f"CPU a row at {bench.rows:,}",
            unit="µs",
            repeats=every(small, lambda each: each[1] * 1e6),
        ),
        Figure(
            case="million",
            what=f"peak memory at {bench.rows:,}",
            unit="MiB",
            repeats=every(small, lambda each: each[0]),
        ),
    ]


def _run_and_export(bench: Bench, rows: int) -> tuple[float, float]:
    """The larger peak of the two commands in MiB, and their CPU seconds a row."""
    with bench.fresh() as place:
        ran = bench.run(place, chat_file(bench.files, rows))
        exported = bench.batcher(place, "results", "-o", place / "again.jsonl")
    return max(ran.peak_mib, exported.peak_mib), (ran.cpu + exported.cpu) / rows


def on_a_half_done_store(bench: Bench, rows: int = MILLION) -> list[Figure]:
    """A runner was killed half way: what `status` and `dlq summary` take then, and how soon `resume` sends."""
    kept = _half_done(bench, rows)
    with bench.fresh() as place:
        _copy_store(kept, place)
        looks = [_looks(bench, place) for _ in range(bench.repeats)]
    waits = [_wait_for_the_first(bench, kept) for _ in range(bench.repeats)]
    case, what = "half", f"on {rows:,} rows, half done after kill -9"
    return [
        Figure(case=case, what=f"resume to its first request, {what}", unit="s", asked=2, repeats=waits),
        Figure(case=case, what="status", unit="s", asked=1, repeats=every(looks, lambda each: each[0])),
        Figure(case=case, what="status of the job", unit="s", asked=1, repeats=every(looks, lambda each: each[1])),
        Figure(case=case, what="dlq summary", unit="s", asked=1, repeats=every(looks, lambda each: each[2])),
        Figure(
            case=case, what="CPU of the dearest of the three", unit="s", repeats=every(looks, lambda each: each[3])
        ),
    ]


def _looks(bench: Bench, place: Path) -> tuple[float, float, float, float]:
    """Seconds of each command, and the CPU seconds of the dearest."""
    status = bench.batcher(place, "status")
    of_the_job = bench.batcher(place, "status", 1, "--json")
    summary = bench.batcher(place, "dlq", "summary")
    dearest = max(status.cpu, of_the_job.cpu, summary.cpu)
    return status.wall, of_the_job.wall, summary.wall, dearest


def _half_done(bench: Bench, rows: int) -> Path:
    """The folder of a store whose runner was killed when half of its rows were answered; made once and kept.

    It remembers where its provider was and has the schema of its time; where either is another, so is the store.
    """
    told = bench.provider.base_url.encode() + b"".join(each.read_bytes() for each in sorted(_SCHEMA.glob("*.py")))
    kept = bench.folder / f"half-{rows}-{sha256(told).hexdigest()[:12]}"
    if kept.exists():
        return kept
    for other in bench.folder.glob(f"half-{rows}-*"):
        shutil.rmtree(other)
    growing = kept.with_suffix(".growing")
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir()
    bench.batcher(growing, "submit", chat_file(bench.files, rows), *bench.settings())
    runner = _resume(growing)
    while (asked_of(growing / "b.db", "SELECT max(id) FROM responses")[0] or 0) < rows // 2:
        if runner.poll() is not None:
            raise Broken(f"{growing}: the runner ended before half was done; see its stderr there")
        time.sleep(0.5)
    runner.kill()
    runner.wait()
    growing.replace(kept)
    return kept


def _resume(place: Path) -> Popen[bytes]:
    argv = (*BATCHER, "resume", "--concurrency", 64, "-o", place / "out.jsonl", "--db", place / "b.db")
    with (place / "stdout").open("wb") as out, (place / "stderr").open("wb") as err:
        return start(*argv, cwd=place, out=out, err=err)


def _copy_store(kept: Path, place: Path) -> None:
    for part in kept.glob("b.db*"):
        shutil.copyfile(part, place / part.name)


def _wait_for_the_first(bench: Bench, kept: Path) -> float:
    """Seconds from the start of `resume` to the first request it sends, on a fresh copy of the store."""
    with bench.fresh() as place:
        _copy_store(kept, place)
        (earlier,) = asked_of(place / "b.db", "SELECT max(id) FROM holders")
        began = time.time()
        runner = _resume(place)
        try:
            first = _first_sent(place / "b.db", earlier)
        finally:
            runner.send_signal(signal.SIGKILL)
            runner.wait()
        return first / 1e6 - began


def _first_sent(store: Path, earlier: int) -> int:
    """When a holder after `earlier` sent its first request, in UTC microseconds.

    It is asked for seldom, and late: the question reads every attempt, beside the runner that is measured.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        time.sleep(3)
        (first,) = asked_of(store, "SELECT min(sent_at) FROM attempts WHERE holder_id > ?", earlier)
        if first is not None:
            return int(first)
    raise Broken(f"{store}: nothing was sent within {_PATIENCE:.0f} s")


def starting(bench: Bench) -> list[Figure]:
    """`batcher --help` and `python -c pass`, in turn."""
    with bench.fresh() as place:
        pairs = [
            (run(sys.executable, "-c", "pass", cwd=place), run(*BATCHER, "--help", cwd=place))
            for _ in range(_SHORT_REPEATS)
        ]
    return [
        Figure(
            case="help",
            what="batcher --help, over python -c pass",
            unit="s",
            asked=0.15,
            repeats=every(pairs, lambda pair: pair[1].wall - pair[0].wall),
        ),
        Figure(
            case="help",
            what="the same in CPU",
            unit="s",
            repeats=every(pairs, lambda pair: pair[1].cpu - pair[0].cpu),
        ),
    ]
