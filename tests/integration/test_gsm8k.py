"""A job file of the size people have: 1,319 questions."""

from pathlib import Path

import pytest

from tests.support.commands import batcher
from tests.support.programs import SHARED, provider_process, rows_of, run_on

QUESTIONS = SHARED / "data" / "gsm8k_test.jsonl"
pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not QUESTIONS.exists(), reason="the shared data is not beside the repository"),
]


def test_all_1319_questions_are_answered_in_order_and_a_second_run_writes_the_same() -> None:
    asked = [row["custom_id"] for row in rows_of(QUESTIONS)]
    assert len(asked) == 1_319
    with provider_process(rpm=600_000, tpm=600_000_000, latency=0.02) as server:
        assert run_on(server, QUESTIONS, "-o", "out.jsonl").code == 0
        results = Path("out.jsonl").read_bytes()
        assert [row["custom_id"] for row in rows_of("out.jsonl")] == asked
        assert server.stats()["distinct_bodies"] == 1_319
        sent = server.requests
        assert run_on(server, QUESTIONS).code == 0
        assert server.requests == sent
    assert Path("out.jsonl").read_bytes() == results


def test_a_few_of_the_questions_run_against_the_built_in_provider() -> None:
    Path("few.jsonl").write_bytes(b"\n".join(QUESTIONS.read_bytes().split(b"\n")[:30]))
    called = batcher("run", "few.jsonl", "--simulate", "--json")
    assert (called.code, called.json["counts"]["completed"]) == (0, 30)
    assert called.json["lanes"][0]["endpoint"] == "http://simulated.localhost/v1"
