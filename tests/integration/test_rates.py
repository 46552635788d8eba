"""A given limit is reached and never passed, judged by a provider that saves up one second of it."""

from pathlib import Path

import pytest

from tests.support.commands import job_file
from tests.support.programs import provider_process, rows, run_on

pytestmark = pytest.mark.usefixtures("folder")

ROWS = 120
RPM = 600
#: A run's first request goes out this much after it began, at most, on a busy machine.
START = 1.5


def test_a_limit_of_requests_is_kept_and_used_up() -> None:
    file = job_file(Path("j.jsonl"), *rows(ROWS))
    with provider_process(rpm=RPM, burst=1.0, latency=0.1) as server:
        called = run_on(server, file, "--rpm", RPM, "--json")
        stats = server.stats()
    assert called.code == 0
    assert stats["refused"] == 0
    assert stats["requests"] == ROWS
    # 10 a second, and the half second that may be saved up.
    assert stats["max_requests_1s"] <= RPM / 60 + 5 + 1
    ideal = 60 * ROWS / RPM
    assert called.json["elapsed_seconds"] <= 1.05 * ideal + START


def test_limits_that_the_provider_announces_are_kept_without_being_given() -> None:
    file = job_file(Path("j.jsonl"), *rows(40))
    with provider_process(rpm=1_200, burst=1.0, latency=0.1) as server:
        called = run_on(server, file, "--json")
        stats = server.stats()
    assert (called.code, called.json["counts"]["completed"]) == (0, 40)
    assert stats["refused"] == 0


def test_a_limit_holds_from_one_run_to_the_next() -> None:
    with provider_process(rpm=RPM, burst=1.0) as server:
        for number in range(4):
            file = job_file(Path(f"{number}.jsonl"), *rows(12, f"job-{number}"))
            assert run_on(server, file, "--rpm", RPM).code == 0
        assert (server.requests, server.stats()["refused"]) == (48, 0)
