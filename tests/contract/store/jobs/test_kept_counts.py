"""The counts of a job are changed with its rows: after every change of a row they are those of the rows."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import asdict, replace

from batcher.domain.jobs import Job
from batcher.domain.requests import SentClaims
from batcher.domain.settlements import Settlement
from batcher.domain.states import AnswerMark, AttemptKind
from batcher.ports import Store
from batcher.store.dead_letters import redrive
from batcher.store.jobs import jobs, kept_counts, loading
from batcher.store.queue import runners, shared_ends, single_flight
from batcher.store.queue.runners import WORKER_LOST_AFTER
from batcher.store.reports import job_counts
from tests.support.stores import (
    START,
    Holder,
    Row,
    add_rows,
    attempt_of,
    begin_job,
    cancel,
    change,
    completed,
    dead_lettered,
    holder_of,
    job_now,
    released,
    requeued,
    rescue,
    rows_named,
    stored,
    submit_rows,
    table,
    wrong_counts,
)

SAME = b'{"same": true}'
#: A row that two others follow, and two of their own.
ROWS = [Row("lead", SAME), Row("f1", SAME), Row("f2", SAME), Row("a"), Row("b")]
MARKED = AnswerMark.TRUNCATED | AnswerMark.UNCHECKED | AnswerMark.UNVALIDATED


def counted(database: Store, job: Job) -> dict[str, int]:
    """The kept counts of a job that are not 0, which must be those of its rows."""
    assert wrong_counts(database) == []
    with database.read() as connection:
        found = kept_counts.kept(connection, job.id)
        assert not job_counts.is_miscounted(connection, job_now(database, job))
    return {name: count for name, count in asdict(found).items() if count}


def never_sent(held) -> Settlement:
    attempt = replace(attempt_of(AttemptKind.TRANSIENT, status=None, code="refused"), sent_at=None)
    return replace(requeued(held), attempt=attempt)


def claim_by_name(holder: Holder, job: Job, **named: Any):
    return {each.custom_id: each for each in holder.claim(job, **named).claims}


Ending = Callable[[Holder, Job], object]
#: What is done with a job of `ROWS`, and what is counted then. Each attempt has 3 input and 4 output tokens.
TRANSITIONS: list[tuple[str, Ending, dict[str, int]]] = [
    ("submit", lambda _, job: job, {"pending": 5}),
    ("claim", lambda holder, job: holder.claim(job, most=2), {"pending": 3, "claimed": 2, "sends": 2}),
    (
        "complete",
        lambda holder, job: holder.settle(*map(completed, holder.claim(job, most=1).claims)),
        {"pending": 2, "completed": 3, "cached": 2, "sends": 1, "input_tokens": 3, "output_tokens": 4},
    ),
    (
        "complete with marks",
        lambda holder, job: holder.settle(
            *(completed(each, marks=MARKED) for each in holder.claim(job, most=2).claims)
        ),
        {
            "pending": 1,
            "completed": 4,
            "cached": 2,
            "sends": 2,
            "truncated": 4,
            "unchecked": 4,
            "input_tokens": 6,
            "output_tokens": 8,
        },
    ),
    (
        "complete empty",
        lambda holder, job: holder.settle(
            *(
                completed(each, marks=AnswerMark.TRUNCATED | AnswerMark.EMPTY)
                for each in holder.claim(job, most=1).claims
            )
        ),
        {
            "pending": 2,
            "completed": 3,
            "cached": 2,
            "sends": 1,
            "truncated": 3,
            "empty": 3,
            "input_tokens": 3,
            "output_tokens": 4,
        },
    ),
    (
        "dead-letter",
        lambda holder, job: holder.settle(*map(dead_lettered, holder.claim(job, most=1).claims)),
        {"pending": 2, "dead_lettered": 3, "sends": 1, "input_tokens": 3, "output_tokens": 4},
    ),
    (
        "requeue",
        lambda holder, job: holder.settle(
            *(requeued(each, uses_attempt=False) for each in holder.claim(job, most=1).claims)
        ),
        {"pending": 5, "sends": 1, "rate_limited": 1, "input_tokens": 3, "output_tokens": 4},
    ),
    (
        "requeue, never sent",
        lambda holder, job: holder.settle(*map(never_sent, holder.claim(job, most=1).claims)),
        {"pending": 5, "sends": 1, "never_sent": 1, "input_tokens": 3, "output_tokens": 4},
    ),
    ("release", lambda holder, job: holder.settle(*map(released, holder.claim(job).claims)), {"pending": 5}),
    ("cancel", lambda holder, job: cancel(holder.database, job), {"cancelled": 5}),
]


@pytest.mark.parametrize(
    ("act", "expected"), [each[1:] for each in TRANSITIONS], ids=[each[0] for each in TRANSITIONS]
)
def test_every_change_of_a_row_is_counted(database, holder, act, expected):
    other = submit_rows(database, rows_named("x", "y"), name="other")
    job = submit_rows(database, ROWS)
    act(holder, job)
    assert counted(database, job) == expected
    assert counted(database, other) == {"pending": 2}


@pytest.mark.parametrize(("end", "sends"), [(completed, 2), (dead_lettered, 2), (requeued, 2), (released, 1)])
def test_a_row_of_a_cancelled_job_that_comes_back_is_counted(database, holder, end, sends):
    job = submit_rows(database, ROWS)
    lead, a = holder.claim(job, most=2).claims
    cancel(database, job)
    holder.settle(end(lead))
    assert counted(database, job)["sends"] == sends
    assert counted(database, job)["claimed"] == 1
    holder.settle(released(a))
    assert "claimed" not in counted(database, job)


def test_a_batch_of_several_jobs_is_counted_for_each(database, holder):
    one, two = (submit_rows(database, [Row(f"{name}{n}") for n in range(3)], name=name) for name in "ab")
    first, second = holder.claim(one).claims, holder.claim(two).claims
    holder.settle(completed(first[0]), requeued(second[0]), dead_lettered(second[1]), released(first[1]))
    tokens = {"input_tokens": 3, "output_tokens": 4}
    assert counted(database, one) == {"pending": 1, "claimed": 1, "completed": 1, "sends": 2, **tokens}
    assert counted(database, two) == {
        "pending": 1,
        "claimed": 1,
        "dead_lettered": 1,
        "sends": 3,
        "input_tokens": 6,
        "output_tokens": 8,
    }


# --- what comes twice, or too late ---


def test_a_batch_that_is_settled_twice_is_counted_once(database, holder):
    job = submit_rows(database, ROWS)
    lead, a, b = holder.claim(job).claims
    batch = [completed(lead), dead_lettered(a), requeued(b, uses_attempt=False)]
    holder.settle(*batch)
    before = counted(database, job)
    holder.settle(*batch)
    holder.settle(batch[0], batch[0])
    assert counted(database, job) == before


def test_one_settlement_twice_in_a_batch_is_counted_once(database, holder):
    job = submit_rows(database, ROWS)
    (lead,) = holder.claim(job, most=1).claims
    holder.settle(completed(lead), completed(lead))
    assert counted(database, job)["input_tokens"] == 3


def test_a_reply_after_its_holder_was_taken_for_dead_is_counted(database, holder):
    job = submit_rows(database, ROWS)
    (lead,) = holder.claim(job, most=1).claims
    rescue(database)
    assert counted(database, job) == {"pending": 5, "sends": 1}
    holder.settle(completed(lead))
    holder.settle(completed(lead))
    assert counted(database, job) == {"pending": 5, "sends": 1, "input_tokens": 3, "output_tokens": 4}


def test_a_late_record_of_a_claim_that_was_released_is_counted_instead_of_the_next_one(database, holder):
    """The in-flight log did not know that it was sent, so its number was given to the next claim."""
    job = submit_rows(database, ROWS)
    (late,) = holder.claim(job, most=1).claims
    with database.write() as connection:
        runners.rescue(connection, now=START, sent=SentClaims(holder=holder.id, sends=frozenset()))
    assert counted(database, job) == {"pending": 5}
    successor = holder_of(database)
    again, a = successor.claim(job, most=2).claims
    assert (again.request_id, again.send) == (late.request_id, late.send)
    holder.settle(requeued(late, uses_attempt=False))
    assert counted(database, job)["rate_limited"] == 1
    successor.settle(completed(again), completed(a))
    assert counted(database, job) == {
        "pending": 1,
        "completed": 4,
        "cached": 2,
        "sends": 2,
        "rate_limited": 1,
        "input_tokens": 6,
        "output_tokens": 8,
    }
    assert len(table(database, "attempts")) == 2


# --- answers without a request ---


@pytest.mark.parametrize("reuse_earlier", [True, False])
def test_an_answer_that_is_known_is_counted(database, holder, reuse_earlier):
    holder.settle(*(completed(each, marks=MARKED) for each in holder.claim(submit_rows(database, ROWS)).claims))
    later = submit_rows(
        database, [*ROWS, Row("new")], name="later", reuse_earlier=reuse_earlier, validate_output=False
    )
    claims = holder.claim(later).claims
    if reuse_earlier:
        assert counted(database, later) == {
            "claimed": 1,
            "completed": 5,
            "cached": 5,
            "sends": 1,
            "truncated": 5,
            "unchecked": 5,
        }
    else:
        assert counted(database, later) == {"pending": 2, "claimed": len(claims), "sends": len(claims)}


@pytest.mark.parametrize("end", [completed, dead_lettered])
def test_followers_that_end_in_chunks_are_counted(database, holder, end):
    job = submit_rows(database, [Row(f"r{number}", SAME) for number in range(8)])
    with mock.patch.object(single_flight, "MOST_AT_ONCE", 3):
        holder.settle(*map(end, holder.claim(job).claims))
        assert counted(database, job)["pending"] == 4
        more = True
        while more:
            with database.write() as connection:
                _, more = shared_ends.share_some(connection)
            counted(database, job)
    assert "pending" not in counted(database, job)


# --- rescue ---


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("is_known", [False, True])
def test_what_a_dead_holder_had_is_counted(database, holder, is_known, is_cancelled):
    job = submit_rows(database, ROWS)
    lead, *_ = holder.claim(job).claims
    if is_cancelled:
        cancel(database, job)
    sent = SentClaims(holder=holder.id, sends=frozenset({(lead.request_id, lead.send)})) if is_known else None
    with database.write() as connection:
        assert runners.rescue(connection, now=START, sent=sent) == 3
    expected = {"sends": 1 if is_known else 3, ("cancelled" if is_cancelled else "pending"): 5}
    assert counted(database, job) == expected


def test_a_row_that_kills_its_holders_is_counted_with_its_followers(database):
    job = submit_rows(database, ROWS)
    for _ in range(WORKER_LOST_AFTER):
        holder = holder_of(database)
        held = claim_by_name(holder, job, most=1) or claim_by_name(holder, job, alone=True)
        assert "lead" in held
        change(database, "UPDATE requests SET available_at = 9000000000000000 WHERE custom_id IN ('a', 'b')")
        rescue(database)
    assert counted(database, job) == {"pending": 2, "dead_lettered": 3, "sends": WORKER_LOST_AFTER}


# --- dead letters ---


@pytest.fixture
def dead(database, holder):
    job = submit_rows(database, ROWS)
    holder.settle(*map(dead_lettered, holder.claim(job).claims))
    return job


def test_dead_letters_that_are_put_back_are_counted(database, dead):
    ids = [row["id"] for row in stored(database).values()]
    with database.write() as connection:
        redrive.put_back(connection, ids[:4])
    assert counted(database, dead) == {
        "pending": 4,
        "dead_lettered": 1,
        "sends": 3,
        "input_tokens": 9,
        "output_tokens": 12,
    }


def test_dead_letters_that_are_discarded_are_counted(database, dead):
    ids = [row["id"] for row in stored(database).values()]
    with database.write() as connection:
        assert redrive.discard(connection, ids[1:3]) == 2
        assert redrive.discard(connection, ids[1:3]) == 0
    found = counted(database, dead)
    assert (found["dead_lettered"], found["cancelled"]) == (3, 2)


# --- loading and deleting ---


def test_a_job_is_counted_when_it_is_shown(database):
    job_id = begin_job(database)
    add_rows(database, job_id, ROWS)
    assert table(database, "job_counts") == []
    with database.write() as connection:
        loading.open_job(connection, job_id)
    with database.read() as connection:
        assert kept_counts.kept(connection, job_id).pending == 5


def test_a_half_deleted_job_counts_what_is_left_and_leaves_no_count(database, holder, monkeypatch):
    job = submit_rows(database, ROWS)
    kept = submit_rows(database, rows_named("x"), name="kept")
    holder.settle(*map(completed, holder.claim(job).claims))
    monkeypatch.setattr(jobs, "_REMOVED_AT_ONCE", 2)
    with database.write() as connection:
        assert jobs.delete_some(connection, job)
    assert counted(database, job) == {
        "completed": 3,
        "cached": 1,
        "sends": 2,
        "input_tokens": 6,
        "output_tokens": 8,
    }
    more = True
    while more:
        with database.write() as connection:
            more = jobs.delete_some(connection, job)
    assert [row["job_id"] for row in table(database, "job_counts")] == [kept.id]
    assert counted(database, kept) == {"pending": 1}


# --- parts, and correction ---


def test_each_holder_adds_to_a_part_of_its_own(database):
    job = submit_rows(database, ROWS)
    holders = [holder_of(database) for _ in range(2)]
    for each in holders:
        each.claim(job, most=1)
    parts = {row["part"]: (row["pending"], row["claimed"]) for row in table(database, "job_counts")}
    assert parts == {0: (5, 0), holders[0].id: (-1, 1), holders[1].id: (-1, 1)}


def test_wrong_counts_are_noticed_and_counted_again(database, holder):
    job = submit_rows(database, ROWS)
    holder.settle(*map(completed, holder.claim(job).claims))
    right = counted(database, job)
    change(database, "UPDATE job_counts SET completed = completed + 1")
    with database.write() as connection:
        assert job_counts.is_miscounted(connection, job)
        job_counts.count_again(connection, job)
    assert counted(database, job) == right
    assert [row["part"] for row in table(database, "job_counts")] == [0]
