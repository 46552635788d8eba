"""Runners beside one another and beside other commands, stopped, woken and told to end; a provider that goes."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, provider_process, rows_of, running, until
from tests.torture.forms import CONCURRENCY, FORM, IS_LONG, draws, patient
from tests.torture.ledger import Ledger, looked_into, mixed_rows, row

pytestmark = [pytest.mark.usefixtures("folder"), patient]

_JOURNAL = Path("journal.jsonl")
_RESULTS = Path("j.results.jsonl")


def submitted(server: Provider, count: int) -> Ledger:
    """A job of mixed rows in the store."""
    lines = mixed_rows(count)
    file = job_file(Path("j.jsonl"), *lines)
    assert batcher("submit", file, "--base-url", server.url).code == 0
    return Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=CONCURRENCY)


def lost_attempts() -> int:
    with looked_into() as database, database.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM attempts WHERE kind = 'lost'").scalar_one())


def test_a_run_told_to_end_again_and_again_repeats_nothing(tell) -> None:
    rng, times = draws("terms"), 3 * FORM.times if IS_LONG else 1
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server, rows := 300 * times)
        for _ in range(times):
            with running("resume", "--concurrency", CONCURRENCY) as program:
                server.wait_for(server.requests + rng.randrange(1, 150))
                time.sleep(rng.uniform(0, 0.1))
                ledger.in_flight += server.stats()["in_flight"]
                program.send(signal.SIGTERM)
                assert program.end()[0] in {143, 3}
            ledger.check()
            assert ledger.repeats == 0
        assert batcher("resume").code == 3
        ledger.check_end(_RESULTS)
    assert lost_attempts() == 0
    tell("SIGTERM", times=times, rows=rows, lost=ledger.lost, repeats=ledger.repeats, in_flight=ledger.in_flight)


def test_a_run_that_is_stopped_and_woken_goes_on_and_no_other_takes_its_rows(tell) -> None:
    times, amid_write = FORM.times, 0
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server, rows := 300 * times)
        with running("resume", "--concurrency", CONCURRENCY) as program:
            # Stopped amid a write it holds the lock of writers, too.
            named = (
                f"another runner (pid {program.pid}) is using this store".encode(),
                f"another process (pid {program.pid}, which is stopped) is writing".encode(),
            )
            for _ in range(times):
                server.wait_for(server.requests + 100)
                program.send(signal.SIGSTOP)
                before = server.requests
                with running("resume") as second:
                    until(lambda: any(said in second.said for said in named))
                    assert not second.is_over
                    amid_write += named[1] in second.said
                    shown = batcher("status", 1, "--json").json
                    assert (shown["state"], shown["runner_pid"]) == ("running", program.pid)
                    assert server.requests <= before + CONCURRENCY
                program.send(signal.SIGCONT)
            assert program.end()[0] == 3
        ledger.check_end(_RESULTS)
    assert ledger.repeats == 0
    tell(
        f"SIGSTOP, SIGCONT ({amid_write} amid a write)",
        times=times,
        rows=rows,
        lost=ledger.lost,
        repeats=ledger.repeats,
    )


def test_of_many_runners_one_works_and_another_takes_over_when_it_is_killed(tell) -> None:
    rng, times = draws("runners"), 2 * FORM.times if IS_LONG else 1
    with provider_process(journal=_JOURNAL, latency=0.05) as server, ExitStack() as stack:
        ledger = submitted(server, rows := 300 * times)
        runners = [stack.enter_context(running("resume", "--concurrency", CONCURRENCY)) for _ in range(times + 2)]
        for _ in range(times):
            server.wait_for(server.requests + rng.randrange(50, 150))
            alive = [each for each in runners if not each.is_over]
            pid = batcher("status", "--json").json["data"][0]["runner_pid"]
            working = next((each for each in alive if each.pid == pid), alive[0])
            ledger.in_flight += server.stats()["in_flight"]
            ledger.kills += 1
            working.kill()
        ended = [each.end(within=120)[0] for each in runners]
        assert ended.count(3) == len(runners) - times, ended
        ledger.check_end(_RESULTS)
    tell(
        "many runners, SIGKILL of the one at work",
        times=times,
        rows=rows,
        lost=ledger.lost,
        repeats=ledger.repeats,
        in_flight=ledger.in_flight,
    )


def test_commands_beside_a_runner_neither_stop_it_nor_lose_anything(tell) -> None:
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server, rows := 600 * FORM.times)
        with running("resume", "--concurrency", CONCURRENCY) as program:
            server.wait_for(100)
            commands = 0
            for number in range(3 * FORM.times if IS_LONG else 1):
                name = f"side-{number}"
                file = job_file(Path(f"{name}.jsonl"), *(row(f"{name}-{n}") for n in range(200)))
                calls = (
                    (("submit", file, "--base-url", server.url, "-q"), {0}),
                    (("dlq", "list", "--json"), {0}),
                    (("dlq", "summary", "--json"), {0}),
                    (("results", 1, "--partial", "-o", f"{name}.out.jsonl"), {0, 3}),
                    (("cancel", name), {0}),
                    (("delete", name, "--yes"), {0}),
                )
                for args, codes in calls:
                    called = batcher(*args)
                    commands += 1
                    assert called.code in codes, (args, called.err)
            assert program.end(within=120)[0] == 3
        ledger.check_end(_RESULTS)
    assert ledger.repeats == 0
    tell("submit, dlq, results, cancel, delete beside", times=commands, rows=rows, lost=ledger.lost, repeats=0)


def test_dead_letters_put_back_beside_the_runner_are_run_by_it_once_each(tell) -> None:
    # Fewer than would pause, as they fail alike.
    dead = [row(f"d{number}", direction="refused") for number in range(6)]
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        assert batcher("run", job_file(Path("dead.jsonl"), *dead), "--base-url", server.url, "-q").code == 3
        # Enough for the runner to be at work until the others are refused again: one that ends before it knows
        # that they are at fault gives them back, and the next sends them once more.
        live = [row(f"row-{number}") for number in range(1_200)]
        with running("run", job_file(Path("j.jsonl"), *live), "--base-url", server.url, "--concurrency", 16) as it:
            server.wait_for(60)
            assert batcher("dlq", "retry", "--job", 1, "--all").code == 0
            assert batcher("resume", 1, "-q").code == 3
            assert not it.is_over
            assert it.end(within=120)[0] == 0
        assert server.requests == 1_200 + 2 * 6
    assert len(rows_of("dead.errors.jsonl")) == 6
    assert len(rows_of(_RESULTS)) == 1_200
    tell("dlq retry beside a runner", times=1, rows=1_206, lost=0, repeats=0)


def test_a_provider_that_goes_and_comes_back_costs_no_row(tell) -> None:
    times, in_flight = FORM.times, 0
    lines = [row(f"row-{number}") for number in range(200 + 200 * times)]
    file = job_file(Path("j.jsonl"), *lines)
    with ExitStack() as runs:
        with provider_process(latency=0.1) as first:
            run = runs.enter_context(
                running("run", file, "--base-url", first.url, "--concurrency", CONCURRENCY, "--max-attempts", 3)
            )
            first.wait_for(150)
            in_flight += first.stats()["in_flight"]
        port = int(first.url.rpartition(":")[2].partition("/")[0])
        for _ in range(times - 1):
            time.sleep(1.5)
            with provider_process(latency=0.1, port=port) as again:
                again.wait_for(150)
                in_flight += again.stats()["in_flight"]
        time.sleep(1.5)
        with provider_process(latency=0.1, port=port):
            assert run.end(within=120)[0] == 0
    assert [each["custom_id"] for each in rows_of(_RESULTS)] == [line["custom_id"] for line in lines]
    tell("provider gone and back", times=times, rows=len(lines), lost=0, repeats="-", in_flight=in_flight)
