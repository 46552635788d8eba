"""`batcher cache`: answers kept for reuse."""

import pytest

from batcher.clock import SystemClock
from tests.support.commands import answering, batcher
from tests.support.jobs import rows, run_job, store_in
from tests.support.stores import ManualClock, Row, completed, holder_of, submit_rows


@pytest.fixture
def two_ages(folder):
    """One answer from 2023 and one from now; both jobs are complete."""
    run_job(folder, rows(answered=1), name="old")
    now = SystemClock().now()
    with store_in(folder) as database:
        job = submit_rows(database, [Row("new")], name="new")
        holder = holder_of(database, ManualClock(now))
        (held,) = holder.claim(job).claims
        holder.settle(completed(held, at=now))
    return folder


def answers():
    return batcher("cache", "stats", "--json").json["answers"]


@pytest.mark.usefixtures("two_ages")
def test_stats_counts_answers_by_endpoint():
    stats = batcher("cache", "stats", "--json").json
    assert stats["answers"] == 2
    (line,) = stats["data"]
    assert line["base_url"] == "http://127.0.0.1:8000/v1"
    assert line["bytes"] == stats["bytes"] > 0
    assert line["oldest"] == "2023-11-14T22:13:20.000Z" < line["newest"]


@pytest.mark.usefixtures("two_ages")
def test_stats_for_people_name_the_endpoint():
    out = batcher("cache", "stats").out
    assert out.splitlines()[1].split()[:2] == ["http://127.0.0.1:8000/v1", "2"]


def test_without_a_store_nothing_is_kept_and_no_file_is_made(folder):
    assert batcher("cache", "stats", "--json").json == {"data": [], "answers": 0, "bytes": 0}
    assert "no answers are cached" in batcher("cache", "stats").out
    assert batcher("cache", "clear", "--yes").code == 0
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("two_ages")
def test_clear_forgets_all_and_touches_no_result():
    before = batcher("results", "old", "-o", "-").out
    called = batcher("cache", "clear", "--yes")
    assert called.code == 0
    assert "2 answers removed from the cache" in called.out
    assert answers() == 0
    assert batcher("results", "old", "-o", "-").out == before != ""


@pytest.mark.parametrize(
    ("age", "left"), [("7d", 1), ("12h", 1), ("90m", 1), ("900s", 1), ("1.5h", 1), ("2w", 1), ("9999w", 2)]
)
@pytest.mark.usefixtures("two_ages")
def test_clear_older_than_keeps_what_is_younger(age, left):
    assert batcher("cache", "clear", "--older-than", age, "--yes").code == 0
    assert answers() == left


@pytest.mark.parametrize("age", ["", "7", "d", "-1d", "7 days", "1e3s", "٣d", "9999999999999d"])
@pytest.mark.usefixtures("two_ages")
def test_an_age_that_is_none_is_wrong_use(age):
    called = batcher("cache", "clear", "--older-than", age, "--yes")
    assert called.code == 2
    assert "7d" in called.err
    assert answers() == 2


@pytest.mark.usefixtures("two_ages")
def test_without_a_terminal_clear_wants_yes():
    called = batcher("cache", "clear")
    assert called.code == 2
    assert "--yes" in called.err
    assert answers() == 2


@pytest.mark.parametrize(("reply", "code", "left"), [("y", 0, 0), ("n", 1, 2)])
@pytest.mark.usefixtures("two_ages")
def test_on_a_terminal_clear_asks(reply, code, left):
    with answering(reply):
        assert batcher("cache", "clear").code == code
    assert answers() == left
