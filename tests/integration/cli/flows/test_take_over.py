"""A key is mended as the pause says, and `batcher resume` is called beside the runner that holds the old one."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.endpoints import ANSWER, Says, endpoint, error
from tests.support.programs import jobs_now, running, until

pytestmark = pytest.mark.usefixtures("folder")
BAD, GOOD, OTHER = "bad-key-0000000000000", "good-key-999999999999", "good-key-000000000000"


def says(came):
    if "bad" in came.headers["authorization"]:
        return Says(401, error("Incorrect API key provided", code="invalid_api_key"))
    time.sleep(0.2)
    return Says(200, ANSWER)


@pytest.fixture
def site(monkeypatch):
    """A slow job with a good key and a job with a bad one, both stored."""
    monkeypatch.setenv("K1", BAD)
    monkeypatch.setenv("K2", OTHER)
    slow = job_file(Path("slow.jsonl"), *(line(f"s{n}", chat(f"slow {n}")) for n in range(80)))
    fast = job_file(Path("fast.jsonl"), *(line(f"f{n}", chat(f"fast {n}")) for n in range(6)))
    with endpoint(says) as server:
        for file, key in ((slow, "K2"), (fast, "K1")):
            called = batcher("submit", file, "--base-url", server.url, "--api-key-env", key)
            assert called.code == 0
        yield server


def is_paused():
    return [job["state"] for job in jobs_now()] == ["running", "paused"]


def test_resume_takes_over_and_nothing_is_sent_twice(site, monkeypatch):
    with running("resume", "--concurrency", "2", K1=BAD, K2=OTHER) as old:
        until(is_paused)
        monkeypatch.setenv("K1", GOOD)
        called = batcher("resume", "2")
        assert called.code == 0, called
        assert f"the runner (pid {old.pid}) was started with another value of K1" in called.err
        assert "6 answered" in called.out
        code, _, err = old.end()
        assert code == 0
        assert "another runner" in err
    answered = Counter(came.body for came in site.came if "bad" not in came.headers["authorization"])
    assert len(answered) == 86
    assert set(answered.values()) == {1}
    assert [job["counts"]["completed"] for job in jobs_now()] == [80, 6]


def test_without_the_key_of_the_runners_other_job_it_says_what_to_do(site, monkeypatch):
    with running("resume", "--concurrency", "2", K1=BAD, K2=OTHER) as old:
        until(is_paused)
        monkeypatch.setenv("K1", GOOD)
        monkeypatch.setattr("batcher.config.credentials.is_loopback", lambda _: False)
        monkeypatch.delenv("K2")
        called = batcher("resume", "2")
        assert called.code == 4
        assert "it also runs job 1 (slow), for which this process has no key: K2 is not set" in called.err
        assert f"kill -INT {old.pid}" in called.err
        assert not old.is_over
    assert {came.headers["authorization"] for came in site.came} == {f"Bearer {BAD}", f"Bearer {OTHER}"}
