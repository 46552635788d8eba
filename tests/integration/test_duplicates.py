"""Rows with the same body share one answer, unless they are asked not to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import Provider, provider, rows_of, run_on

pytestmark = pytest.mark.usefixtures("folder")

EACH = 10


def repeats(count: int, distinct: int, **more: Any) -> list[dict[str, Any]]:
    return [line(f"row-{number}", chat(f"text {number % distinct}", **more)) for number in range(count)]


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as listening:
        yield listening


def seen(server: Provider) -> tuple[int, int]:
    """Requests, and distinct bodies among them."""
    stats = server.stats()
    return stats["requests"], stats["distinct_bodies"]


def test_a_thousand_rows_of_a_hundred_bodies_are_a_hundred_requests(server: Provider) -> None:
    file = job_file(Path("j.jsonl"), *repeats(1_000, 100))
    called = run_on(server, file, "--json")
    assert seen(server) == (100, 100)
    assert (called.code, called.json["cached"], called.json["attempts"]) == (0, 900, 100)
    results = rows_of("j.results.jsonl")
    assert [row["custom_id"] for row in results] == [f"row-{number}" for number in range(1_000)]
    by_text: dict[int, set[str]] = {}
    for number, row in enumerate(results):
        by_text.setdefault(number % 100, set()).add(row["response"]["body"]["id"])
        facts = row["batcher"]
        assert facts["cached"] is (number >= 100)
        assert facts["attempts"] == (1 if number < 100 else 0)
        assert facts.get("answered_by") == (
            {"job": 1, "custom_id": f"row-{number % 100}"} if number >= 100 else None
        )
    assert all(len(ids) == 1 for ids in by_text.values())
    assert len(set.union(*by_text.values())) == 100


def test_that_rows_share_an_answer_is_said_at_the_start_and_at_the_end(server: Provider) -> None:
    called = run_on(server, job_file(Path("j.jsonl"), *repeats(12, 4)))
    for said in (called.err, called.out):
        assert "8 rows repeat another row's body" in said
        assert "--no-cache" in said
    assert "12 answered (8 cached)" in called.out


def test_repeats_at_temperature_0_are_reported_too(server: Provider) -> None:
    called = run_on(server, job_file(Path("j.jsonl"), *repeats(12, 4, temperature=0)))
    assert "8 rows repeat another row's body and share its answer" in called.err
    assert "8 rows repeat another row's body" in called.out
    assert seen(server) == (4, 4)


def test_embeddings_share_without_a_word(server: Provider) -> None:
    rows = [line(f"row-{n}", {"model": "e", "input": "x"}, url="/v1/embeddings") for n in range(3)]
    called = run_on(server, job_file(Path("j.jsonl"), *rows))
    assert "repeat another" not in called.err + called.out


@pytest.mark.parametrize("how", [["--no-cache"], ["--cache", "off"]])
def test_without_a_cache_every_row_is_sent(server: Provider, how: list[str]) -> None:
    called = run_on(server, job_file(Path("j.jsonl"), *repeats(200, 20)), *how, "--json")
    assert seen(server) == (200, 20)
    assert called.json["cached"] == 0
    assert not any(row["batcher"]["cached"] for row in rows_of("j.results.jsonl"))


def test_the_deterministic_cache_shares_only_what_would_come_out_the_same(server: Provider) -> None:
    kinds = [
        repeats(EACH, 1),
        repeats(EACH, 1, temperature=0.7),
        repeats(EACH, 1, temperature=0),
        repeats(EACH, 1, seed=1),
        [line("", {"model": "e", "input": "x"}, url="/v1/embeddings")] * EACH,
    ]
    flat = [{**row, "custom_id": f"row-{n}"} for n, row in enumerate(row for kind in kinds for row in kind)]
    run_on(server, job_file(Path("j.jsonl"), *flat), "--cache", "deterministic")
    assert seen(server) == (2 * EACH + 3, 5)


def test_repeats_of_a_refused_row_die_with_it(server: Provider) -> None:
    bad = {"metadata": {"simulate": {"code": "context_length_exceeded"}}}
    called = run_on(server, job_file(Path("j.jsonl"), *repeats(100, 1, **bad)), "--json")
    assert (called.code, called.json["counts"]["dead_lettered"], called.json["attempts"]) == (3, 100, 1)
    assert seen(server) == (1, 1)
    errors = rows_of("j.errors.jsonl")
    assert [row["custom_id"] for row in errors] == [f"row-{number}" for number in range(100)]
    assert {row["error"]["code"] for row in errors} == {"context_length_exceeded"}
    assert {row["response"]["status_code"] for row in errors} == {400}
    assert [row["error"]["attempts"] for row in errors] == [1] + [0] * 99


@pytest.mark.parametrize(("how", "requests"), [([], 8), (["--cache", "all"], 4)])
def test_an_earlier_jobs_answers_serve_on_loopback_only_where_that_is_asked_for(
    server: Provider, how: list[str], requests: int
) -> None:
    run_on(server, job_file(Path("one.jsonl"), *repeats(4, 4)))
    other = [{**row, "custom_id": f"other-{number}"} for number, row in enumerate(repeats(4, 4))]
    assert run_on(server, job_file(Path("two.jsonl"), *other), *how).code == 0
    assert seen(server) == (requests, 4)
    ones = [row["response"]["body"]["id"] for row in rows_of("one.results.jsonl")]
    twos = rows_of("two.results.jsonl")
    assert [row["custom_id"] for row in twos] == [f"other-{number}" for number in range(4)]
    if how:
        assert [row["response"]["body"]["id"] for row in twos] == ones
        assert twos[2]["batcher"]["answered_by"] == {"job": 1, "custom_id": "row-2"}


def test_a_changed_file_with_the_cache_sends_only_what_is_new(server: Provider) -> None:
    run_on(server, job_file(Path("j.jsonl"), *repeats(50, 50)), "--cache", "all")
    called = run_on(server, job_file(Path("j.jsonl"), *repeats(55, 55)), "--cache", "all", "--json")
    assert seen(server) == (55, 55)
    assert (called.json["job"], called.json["cached"]) == (2, 50)


def test_a_cleared_cache_leaves_results_as_they_are(server: Provider) -> None:
    file = job_file(Path("j.jsonl"), *repeats(20, 5))
    run_on(server, file, "--cache", "all")
    before = Path("j.results.jsonl").read_bytes()
    assert batcher("cache", "clear", "--yes").code == 0
    assert run_on(server, file, "--cache", "all").code == 0
    assert Path("j.results.jsonl").read_bytes() == before
    assert seen(server) == (5, 5)


def test_a_cache_mode_that_comes_too_late_says_so(server: Provider) -> None:
    file = job_file(Path("j.jsonl"), *repeats(10, 1))
    batcher("submit", file, "--base-url", server.url)
    late = run_on(server, file, "--no-cache")
    assert "cache: off, was all" in late.err
    assert "--new matches its rows again" in late.err
    assert seen(server) == (1, 1)
    run_on(server, file, "--no-cache", "--new")
    assert seen(server) == (11, 1)
