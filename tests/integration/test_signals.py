"""Signals to a run, and a second run beside a live one: processes of their own."""

import fcntl
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, on_terminal, provider, rows, rows_of, running, until

pytestmark = pytest.mark.usefixtures("folder")


def only_job() -> dict[str, Any]:
    (job,) = batcher("status", "--json").json["data"]
    assert isinstance(job, dict)
    return job


def finish(server: Provider, count: int) -> None:
    """Resume: every row is there once, and nothing is sent that was answered before."""
    assert batcher("resume").code == 0
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == [f"row-{number}" for number in range(count)]
    assert server.requests <= 2 * count


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_a_signal_drains_and_resume_goes_on(which: signal.Signals, code: int) -> None:
    file = job_file(Path("j.jsonl"), *rows(100))
    with provider(latency=0.2, latency_sigma=0) as server:
        with running("run", file, "--base-url", server.url, "--concurrency", 8, "--json") as program:
            server.wait_for(20)
            program.send(which)
            # A shell passes on what its terminal told both.
            program.send(which)
            ended = program.end()
        sent = server.requests
        assert ended[0] == code
        counts = only_job()["counts"]
        assert (counts["claimed"], counts["completed"]) == (0, sent)
        assert 0 < counts["pending"] == 100 - sent
        assert '"state": "interrupted"' in ended[1]
        assert "in flight" in ended[2]
        assert not Path("j.results.jsonl").exists()
        finish(server, 100)
        assert server.requests == 100


def test_a_second_signal_stops_at_once_and_gives_back_what_was_in_flight() -> None:
    file = job_file(Path("j.jsonl"), *rows(30))
    with provider(latency=60, latency_sigma=0) as server:
        with running("run", file, "--base-url", server.url, "--concurrency", 4) as program:
            server.wait_for(4)
            program.send(signal.SIGINT)
            until(lambda: b"Ctrl-C stops at once" in program.said)
            time.sleep(0.1)
            assert not program.is_over
            program.send(signal.SIGINT)
            code, out, _ = program.end(within=20)
        assert code == 130
        assert "batcher resume 1" in out
        assert only_job()["counts"]["pending"] == 30
        assert only_job()["counts"]["claimed"] == 0


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_file_is_read_leaves_nothing_behind(
    which: signal.Signals, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Coverage holds a lock of its own at every new function; a signal that raises just then leaves it held.
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    job_file(Path("j.jsonl"), *rows(60_000))
    with running("submit", "j.jsonl", "--simulate") as program:
        wal = Path("batcher.db-wal")
        until(lambda: wal.exists() and wal.stat().st_size > 1_000_000)
        program.send(which)
        ended = program.end(within=30)
    assert ended[0] == code
    assert "Traceback" not in ended[2]
    assert batcher("status", "--json").json == {"data": []}
    with closing(sqlite3.connect("batcher.db")) as store:
        assert store.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
        assert store.execute("SELECT count(*) FROM requests").fetchone() == (0,)


def test_a_closed_terminal_drains_the_run_however_much_it_wanted_to_draw() -> None:
    file = job_file(Path("j.jsonl"), *rows(200))
    with (
        provider(latency=0.2, latency_sigma=0) as server,
        on_terminal("run", file, "--base-url", server.url, "--concurrency", 4, "-v") as (process, terminal),
    ):
        assert terminal.shows("in flight")
        server.wait_for(8)
        terminal.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 143
        counts = only_job()["counts"]
        assert (counts["claimed"], counts["completed"]) == (0, server.requests)


def test_a_terminal_sees_how_it_goes_and_how_to_stop_it() -> None:
    file = job_file(Path("j.jsonl"), *rows(40))
    with (
        provider(latency=1, latency_sigma=0) as server,
        on_terminal("run", file, "--base-url", server.url, "--concurrency", 4) as (process, terminal),
    ):
        server.wait_for(1)
        process.send_signal(signal.SIGINT)
        assert terminal.shows("Ctrl-C stops at once")
        assert terminal.shows("next: batcher resume 1")
        assert process.wait(30) == 130
        terminal.close()


def test_an_ignored_hangup_stays_ignored() -> None:
    file = job_file(Path("j.jsonl"), *rows(20))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with provider(latency=0.2) as server, running("run", file, "--base-url", server.url) as program:
            server.wait_for(1)
            program.send(signal.SIGHUP)
            assert program.end()[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(rows_of("j.results.jsonl")) == 20


def test_a_second_run_hands_its_job_to_the_live_runner() -> None:
    one, two = job_file(Path("one.jsonl"), *rows(40, "one")), job_file(Path("two.jsonl"), *rows(10, "two"))
    with provider(latency=0.3, latency_sigma=0) as server:
        with running("run", one, "--base-url", server.url, "--concurrency", 4) as first:
            server.wait_for(1)
            with running("run", two, "--base-url", server.url, "--json") as second:
                assert second.end()[0] == 0
                assert f"(pid {first.pid})" in second.said.decode()
            assert first.end()[0] == 0
        assert server.requests == 50
    assert [row["custom_id"] for row in rows_of("one.results.jsonl")] == [f"one-{n}" for n in range(40)]
    assert [row["custom_id"] for row in rows_of("two.results.jsonl")] == [f"two-{n}" for n in range(10)]


def test_a_second_run_takes_over_when_the_runner_dies() -> None:
    one, two = job_file(Path("one.jsonl"), *rows(100, "one")), job_file(Path("two.jsonl"), *rows(4, "two"))
    with (
        provider(latency=0.3, latency_sigma=0) as server,
        running("run", one, "--base-url", server.url, "--concurrency", 1) as first,
    ):
        server.wait_for(1)
        with running("run", two, "--base-url", server.url) as second:
            until(lambda: b"is using this store" in second.said)
            first.kill()
            assert second.end()[0] == 0
    assert [row["custom_id"] for row in rows_of("two.results.jsonl")] == [f"two-{n}" for n in range(4)]
    left = batcher("status", 1, "--json").json
    assert left["state"] == "interrupted"
    assert left["counts"]["claimed"] == 0


def test_ctrl_c_of_a_second_run_leaves_its_job_to_the_runner() -> None:
    one, two = job_file(Path("one.jsonl"), *rows(20, "one")), job_file(Path("two.jsonl"), *rows(4, "two"))
    with provider(latency=0.4, latency_sigma=0) as server:
        with running("run", one, "--base-url", server.url, "--concurrency", 2) as first:
            server.wait_for(1)
            with running("run", two, "--base-url", server.url) as second:
                until(lambda: b"is using this store" in second.said)
                second.send(signal.SIGINT)
                code, out, _ = second.end()
                assert code == 130
                assert "another process" in out
            code, _, err = first.end()
        assert code == 0
        if "job 2 (two), which another command handed over, is not finished" in err:
            # A run ends with its own job, and no one waits for this one any more.
            assert "`batcher resume 2` continues it" in err
            assert batcher("resume", 2).code == 0
        assert server.requests == 24
    assert batcher("status", 2, "--json").json["state"] == "completed"


def test_the_same_file_in_two_processes_at_once_is_one_job() -> None:
    file = job_file(Path("j.jsonl"), *rows(30))
    with provider(latency=0.1) as server:
        with (
            running("run", file, "--base-url", server.url) as first,
            running("run", file, "--base-url", server.url) as second,
        ):
            assert (first.end()[0], second.end()[0]) == (0, 0)
        assert server.requests == 30
    assert only_job()["counts"]["completed"] == 30


@pytest.mark.parametrize(
    "command", [("resume",), ("run", "j.jsonl"), ("cancel", 1), ("submit", "j.jsonl", "--new")]
)
@pytest.mark.parametrize("lock", ["ours", "another program's"])
def test_ctrl_c_is_heard_while_a_command_waits_for_the_store(command: tuple[Any, ...], lock: str) -> None:
    file = job_file(Path("j.jsonl"), *rows(5))
    where = ("--base-url", "http://127.0.0.1:9299/v1")
    assert batcher("submit", file, *where).code == 0
    connected = closing(sqlite3.connect("batcher.db", isolation_level=None))
    with connected as foreign, Path("batcher.db-write").open() as side:
        if lock == "ours":
            fcntl.flock(side, fcntl.LOCK_EX)
        else:
            foreign.execute("BEGIN IMMEDIATE")
        with running(*command, *(where if command[0] in {"run", "submit"} else ())) as program:
            time.sleep(2)
            assert not program.is_over
            began = time.monotonic()
            program.send(signal.SIGINT)
            code, _, said = program.end(within=20)
    assert (code, "Traceback" in said) == (130, False)
    assert time.monotonic() - began < 5
    assert only_job()["counts"]["pending"] == 5


def test_a_second_ctrl_c_ends_the_wait_of_a_run_that_cannot_write() -> None:
    file = job_file(Path("j.jsonl"), *rows(200))
    with provider(latency=0.05, latency_sigma=0) as server, Path("batcher.db-write").open("w") as side:
        with running("run", file, "--base-url", server.url, "--concurrency", 4) as program:
            server.wait_for(20)
            fcntl.flock(side, fcntl.LOCK_EX)
            time.sleep(0.5)
            program.send(signal.SIGINT)
            time.sleep(0.5)
            assert not program.is_over
            program.send(signal.SIGINT)
            code, _, said = program.end(within=20)
        fcntl.flock(side, fcntl.LOCK_UN)
        assert (code, "Traceback" in said) == (130, False)
        assert "stopped while waiting for the store" in said
        assert batcher("resume").code == 0
        assert len(rows_of("j.results.jsonl")) == 200
        assert server.requests <= 200 + 2 * 4
