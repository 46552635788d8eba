"""A run ends with its own job: jobs that others handed over neither hold it up nor show on its terminal."""

import signal
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file, line
from tests.support.programs import jobs_now, provider_process, replying, rows, rows_of, running, until

pytestmark = pytest.mark.usefixtures("folder")


def test_a_run_ends_with_its_own_job_and_the_other_command_goes_on() -> None:
    own = job_file(Path("own.jsonl"), *rows(160, "own"))
    theirs = job_file(Path("theirs.jsonl"), *rows(400, "theirs"))
    with provider_process(latency=0.2) as server:
        at = ("--base-url", server.url, "--concurrency", 4)
        with running("run", own, *at) as first:
            server.wait_for(4)
            with running("run", theirs, *at) as second:
                until(lambda: b"another runner" in second.said)
                code, out, err = first.end()
                assert code == 0
                assert rows_of("own.results.jsonl")
                assert not second.is_over
                assert "160: 160 answered" in out
                assert "job 2 (theirs), which another command handed over, is not finished" in err
                assert f"it goes on in another process (pid {second.pid})" in err
                code, _, err = second.end()
                assert code == 0
                assert "that runner has ended; this command runs job 2 now" in err
        assert server.requests == 560
    assert len(rows_of("theirs.results.jsonl")) == 400


def test_troubles_of_a_job_of_others_are_not_shown_and_its_exit_code_is_not_taken() -> None:
    theirs = job_file(Path("theirs.jsonl"), *rows(5, "theirs"))
    refused = {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}
    own = job_file(Path("own.jsonl"), *rows(60, "own"))
    with (
        provider_process(latency=0.2) as server,
        replying(lambda _, __: (401, refused)) as (bad, _),
        running("run", own, "--base-url", server.url, "--concurrency", 2) as first,
    ):
        server.wait_for(2)
        assert batcher("run", theirs, "--base-url", bad.url).code == 4
        code, out, err = first.end()
    assert code == 0
    assert "paused" not in out + err
    assert "Incorrect" not in out + err


def test_an_interrupted_watcher_says_how_to_stop_the_runner_and_gives_nothing_up() -> None:
    own = job_file(Path("own.jsonl"), *rows(400, "own"))
    with provider_process(latency=0.2) as server:
        at = ("--base-url", server.url, "--concurrency", 2)
        with running("run", own, *at) as first:
            server.wait_for(2)
            with running("run", job_file(Path("theirs.jsonl"), line("a")), *at) as second:
                until(lambda: b"another runner" in second.said)
                second.send(signal.SIGINT)
                code, out, _ = second.end()
            assert code == 130
            if "still running it" in out:
                assert f"to stop that without giving rows up, `kill {first.pid}`" in out
            assert "cancel" not in out
            first.send(signal.SIGTERM)
            assert first.end()[0] == 143
    assert all(job["counts"]["cancelled"] == 0 for job in jobs_now())
