"""The machine fails: disk full, no files left, a store that cannot be written, nobody who listens."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, provider_process, running
from tests.torture.confined import confined, filled, needs_mount, needs_strace, read_only, small_disk
from tests.torture.forms import CONCURRENCY, FORM, IS_LONG, in_the_long_form, patient
from tests.torture.ledger import Ledger, looked_into, row

pytestmark = [pytest.mark.usefixtures("folder"), patient]

_JOURNAL = Path("journal.jsonl")


def submitted(server: Provider, count: int, *, store: Path = Path("batcher.db")) -> Ledger:
    """A job of healthy rows in the store."""
    lines = [row(f"row-{number}") for number in range(count)]
    file = job_file(Path("j.jsonl"), *lines)
    assert batcher("submit", file, "--base-url", server.url, "--db", store).code == 0
    return Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=CONCURRENCY, store=store)


def spent(store: Path = Path("batcher.db")) -> int:
    """Attempts that were spent, of all rows."""
    with looked_into(store) as database, database.read() as connection:
        return int(connection.exec_driver_sql("SELECT sum(spent) FROM requests").scalar_one())


def finished(ledger: Ledger) -> None:
    """Nothing fails any more: it runs to its end."""
    assert batcher("resume", "--db", ledger.store, "-q").code == 0
    ledger.check_end(Path("j.results.jsonl"))


#: System calls that write a store to its disk, and about the how manieth of a run is amid its work.
_FLUSH, _WRITE = (("fdatasync", "fsync"), 6), (("pwrite64",), 80)
_FAULTS: list[tuple[str, tuple[str, ...], int]] = [("EIO", *_FLUSH)]
_MORE_FAULTS: list[tuple[str, tuple[str, ...], int]] = (
    [("ENOSPC", *_FLUSH), ("EIO", *_WRITE), ("ENOSPC", *_WRITE)] if IS_LONG else []
)


@needs_mount
def test_a_full_disk_stops_the_run_and_loses_nothing(tell, folder) -> None:
    with provider_process(journal=_JOURNAL, latency=0.05) as server, small_disk(folder / "disk", "24m") as disk:
        ledger = submitted(server, rows := 250 + 250 * FORM.times, store=disk / "batcher.db")
        for time_ in range(1, FORM.times + 1):
            with running("resume", "--db", ledger.store, "--concurrency", CONCURRENCY) as program:
                server.wait_for(server.requests + 100)
                ledger.in_flight += server.stats()["in_flight"]
                ledger.kills += 1
                with filled(disk):
                    code, _, said = program.end(within=60)
            assert code == 1, said
            assert "free some space" in said
            assert "Traceback" not in said
            ledger.check()
            assert spent(ledger.store) == 0, time_
        finished(ledger)
    tell(
        "disk full",
        times=FORM.times,
        rows=rows,
        lost=ledger.lost,
        repeats=ledger.repeats,
        in_flight=ledger.in_flight,
    )


@needs_mount
def test_a_store_that_cannot_be_written_is_an_error_before_anything_is_sent(tell, folder) -> None:
    with provider_process(journal=_JOURNAL) as server, small_disk(folder / "disk", "24m") as disk:
        ledger = submitted(server, 50, store=disk / "batcher.db")
        with read_only(disk):
            for command in (("resume",), ("cancel", 1), ("run", "j.jsonl", "--base-url", server.url)):
                called = batcher(*command, "--db", ledger.store)
                assert called.code == 1, command
                assert "Traceback" not in called.err
                assert "writable" in called.err, called.err
            assert batcher("status", "--db", ledger.store).code == 0
        assert server.requests == 0
        finished(ledger)
    tell("read-only folder", times=1, rows=50, lost=ledger.lost, repeats=ledger.repeats)


@pytest.mark.parametrize("disk", ["quick", pytest.param("slow", marks=needs_strace)])
def test_where_no_file_can_be_opened_the_run_waits_and_spends_no_attempt(tell, disk) -> None:
    fault = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={','.join(_FLUSH[0])}:delay_exit=5000"]
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        ledger = submitted(server, 120)
        slowed = fault if disk == "slow" else ()
        with confined("ulimit -n 26", "resume", "--concurrency", 64, fault=slowed) as program:
            code, _, said = program.end(within=120)
        assert code == 0, said
        assert spent() == 0
        ledger.check_end(Path("j.results.jsonl"))
    assert _local_faults() > 0
    assert ledger.repeats == 0
    tell(
        f"EMFILE (ulimit -n 26), {disk} disk",
        times=_local_faults(),
        rows=120,
        lost=ledger.lost,
        repeats=ledger.repeats,
    )


def _local_faults() -> int:
    with looked_into() as database, database.read() as connection:
        query = "SELECT count(*) FROM attempts WHERE code = 'local'"
        return int(connection.exec_driver_sql(query).scalar_one())


def injecting(calls: Sequence[str], error: str, when: str) -> list[str]:
    """The line of strace that lets these system calls fail."""
    line = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={','.join(calls)}"]
    return line + [part for call in calls for part in ("-e", f"inject={call}:error={error}:when={when}")]


@needs_strace
@pytest.mark.parametrize(("error", "calls", "first"), _FAULTS + _MORE_FAULTS)
def test_a_write_that_fails_ends_the_run_and_loses_nothing(tell, error, calls, first) -> None:
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        ledger = submitted(server, rows := 200 + 200 * FORM.times)
        for time_ in range(1, FORM.times + 1):
            fault = injecting(calls, error, str(first + time_))
            ledger.kills += 1
            with confined("", "resume", "--concurrency", CONCURRENCY, fault=fault) as program:
                code, _, said = program.end(within=60)
            assert code == 1, said
            assert "Traceback" not in said
            ledger.check()
            assert spent() == 0
        finished(ledger)
    tell(f"{error} on {calls[0]}", times=FORM.times, rows=rows, lost=ledger.lost, repeats=ledger.repeats)


@in_the_long_form
@needs_strace
def test_while_no_socket_can_be_opened_the_run_waits_and_spends_no_attempt(tell) -> None:
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        ledger = submitted(server, 100)
        fault = injecting(("socket",), "EMFILE", f"4..{4 + 4 * FORM.times}")
        with confined("", "resume", "--concurrency", 8, fault=fault) as program:
            code, _, said = program.end(within=120)
        assert code == 0, said
        assert spent() == 0
        ledger.check_end(Path("j.results.jsonl"))
    assert _local_faults() > 0
    assert ledger.repeats == 0
    tell("EMFILE on socket", times=_local_faults(), rows=100, lost=ledger.lost, repeats=ledger.repeats)


@pytest.mark.parametrize("then", ["deleted", "replaced"] if IS_LONG else ["replaced"])
def test_a_run_whose_store_is_taken_away_stops_sending(tell, then) -> None:
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server, 1_500)
        with running("resume", "--concurrency", CONCURRENCY) as program:
            server.wait_for(100)
            ledger.in_flight = server.stats()["in_flight"]
            for part in Path().glob("batcher.db*"):
                part.unlink()
            if then == "replaced":
                Path("batcher.db").write_bytes(b"something else")
            code, _, said = program.end()
        assert code == 1
        assert "was deleted or replaced while it was in use" in said
        assert server.requests < 1_000
        assert Path("batcher.db").exists() == (then == "replaced")
    tell(f"store {then} in use", times=1, rows=1_500, lost="-", repeats="-", in_flight=ledger.in_flight)


@pytest.mark.parametrize("stdout", ["closed", "nobody reads"] if IS_LONG else ["nobody reads"])
def test_a_run_that_nobody_listens_to_ends_as_any_other(tell, stdout) -> None:
    with provider_process(journal=_JOURNAL) as server:
        ledger = submitted(server, 200)
        line = "exec 1>&-; exec" if stdout == "closed" else "exec"
        command = ["sh", "-c", f'{line} "$@"', "sh", sys.executable, "-m", "batcher", "resume", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            said = process.stderr.read().decode()
            assert process.wait(30) == 0, said
        assert "Traceback" not in said
        ledger.check_end(Path("j.results.jsonl"))
    tell(f"stdout: {stdout}", times=1, rows=200, lost=ledger.lost, repeats=ledger.repeats)


def test_a_full_pipe_holds_the_run_up_and_loses_nothing(tell) -> None:
    command = [sys.executable, "-m", "batcher", "resume", "-v"]
    with provider_process(journal=_JOURNAL) as server:
        ledger = submitted(server, 1_000)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            server.wait_for(100)
            time.sleep(1.5)
            process.communicate(timeout=60)
        assert process.returncode == 0
        ledger.check_end(Path("j.results.jsonl"))
    assert (ledger.repeats, spent()) == (0, 0)
    tell("stderr: a full pipe", times=1, rows=1_000, lost=ledger.lost, repeats=ledger.repeats)
