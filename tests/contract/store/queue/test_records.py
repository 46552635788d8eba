"""What stays of an attempt and of an answer: tokens, tiers, cost; and a reply that comes too late."""

from msgspec.structs import replace

from batcher.domain.outcomes import Usage
from batcher.domain.settlements import Complete
from tests.support.stores import (
    START,
    completed,
    dead_lettered,
    holder_of,
    requeued,
    rescue,
    rows_named,
    states,
    submit_rows,
    table,
)

USAGE = Usage(
    input_tokens=19,
    cached_input_tokens=12,
    cache_write_tokens=3,
    output_tokens=10,
    reasoning_tokens=4,
    tier_sent="flex",
    tier_billed="default",
    cost_usd=0.25,
)
COLUMNS = {
    "input_tokens": 19,
    "cached_input_tokens": 12,
    "cache_write_tokens": 3,
    "output_tokens": 10,
    "reasoning_tokens": 4,
    "tier_sent": "flex",
    "tier_billed": "default",
    "cost": 0.25,
}


def with_usage(settlement, usage=USAGE):
    decision = settlement.decision
    if isinstance(decision, Complete):
        decision = replace(decision, usage=usage)
    return replace(settlement, decision=decision, attempt=replace(settlement.attempt, usage=usage))


def usage_columns(row):
    return {name: row[name] for name in COLUMNS}


def test_the_usage_of_an_answer_is_kept_with_it_and_with_its_attempt(database):
    job = submit_rows(database, rows_named("a"))
    holder = holder_of(database)
    (claim,) = holder.claim(job).claims
    holder.settle(with_usage(completed(claim)))
    ((answer,), (attempt,)) = table(database, "responses"), table(database, "attempts")
    assert usage_columns(answer) == usage_columns(attempt) == COLUMNS


def test_the_usage_of_a_failure_is_kept_too(database):
    job = submit_rows(database, rows_named("a"))
    holder = holder_of(database)
    (claim,) = holder.claim(job).claims
    holder.settle(with_usage(dead_lettered(claim)))
    (attempt,) = table(database, "attempts")
    assert usage_columns(attempt) == COLUMNS


def test_a_late_reply_replaces_the_record_that_its_attempt_was_lost(database):
    job = submit_rows(database, rows_named("a", "b"))
    late = holder_of(database)
    claims = late.claim(job).claims
    assert rescue(database) == 2
    assert [row["kind"] for row in table(database, "attempts")] == ["lost", "lost"]
    assert late.settle(with_usage(completed(claims[0]))) == []
    first, second = table(database, "attempts")
    assert (first["kind"], first["send"], first["sent_at"]) == ("success", 1, START - 250_000)
    assert usage_columns(first) == COLUMNS
    assert second["kind"] == "lost"
    # The reply is known, but the row is another holder's to answer.
    assert states(database) == {"a": "pending", "b": "pending"}


def test_a_record_that_is_no_loss_stays(database):
    job = submit_rows(database, rows_named("a"))
    holder = holder_of(database)
    (claim,) = holder.claim(job).claims
    holder.settle(requeued(claim))
    before = table(database, "attempts")
    holder.settle(with_usage(completed(claim)))
    assert table(database, "attempts") == before
