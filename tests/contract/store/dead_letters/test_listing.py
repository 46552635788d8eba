"""Dead letters: found, shown whole, and put back to work in their groups."""

import pytest

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.requests import Filters
from batcher.domain.states import JobState
from batcher.ports import Store
from batcher.store.dead_letters import listing, regroup
from batcher.store.jobs import jobs
from tests.support.stores import (
    SECOND,
    START,
    Row,
    completed,
    dead_lettered,
    job_now,
    names,
    numbered,
    requeued,
    rows_named,
    states,
    stored,
    submit_rows,
)

TWIN = b'{"same": true}'


def ids_of(database: Store, *custom_ids: str) -> list[RequestId]:
    rows = stored(database)
    return [RequestId(rows[custom_id]["id"]) for custom_id in custom_ids]


def retry(database: Store, *custom_ids: str) -> list[int]:
    with database.write() as connection:
        _, reopened = regroup.retry(connection, ids_of(database, *custom_ids))
        for job_id in reopened:
            jobs.reopen(connection, job_id)
        return list(reopened)


def leaders(database: Store) -> dict[str, str | None]:
    """Who leads whom, by custom_id."""
    rows = stored(database)
    by_id = {row["id"]: name for name, row in rows.items()}
    return {name: by_id.get(row["leader_id"]) for name, row in rows.items()}


@pytest.fixture
def group(database, holder) -> Job:
    """A leader and two followers, all dead of the leader's reply."""
    job = submit_rows(database, [Row("lead", TWIN), Row("f1", TWIN), Row("f2", TWIN)])
    holder.settle(dead_lettered(holder.claim(job).claims[0]))
    assert set(states(database).values()) == {"dead_lettered"}
    return job


# --- finding ---


@pytest.fixture
def several(database, holder) -> tuple[Job, Job]:
    one = submit_rows(database, numbered(3), name="one")
    two = submit_rows(database, rows_named("x", "y"), name="two")
    r0, r1, r2, x, y = holder.claim(one, two).claims
    holder.settle(
        dead_lettered(r2, "too_long"),
        dead_lettered(r0, "bad", status=422),
        completed(r1),
        dead_lettered(x, "bad"),
        completed(y),
    )
    return one, two


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), ["r0", "r2", "x"]),
        (Filters(job=JobId(1)), ["r0", "r2"]),
        (Filters(job=JobId(2), code="bad"), ["x"]),
        (Filters(code="bad"), ["r0", "x"]),
        (Filters(kind="permanent"), ["r0", "r2", "x"]),
        (Filters(kind="transient"), []),
        (Filters(status=422), ["r0"]),
        (Filters(requests=(RequestId(2), RequestId(3), RequestId(99))), ["r2"]),
    ],
)
def test_dead_letters_are_found_and_counted(database, filters, expected):
    with database.read() as connection:
        found = listing.letters(connection, filters, limit=None)
        assert [letter.custom_id for letter in found] == expected
        assert listing.count(connection, filters) == len(expected)
        assert [each.custom_id for each in listing.letters(connection, filters, limit=1)] == expected[:1]


def test_a_letter_says_what_happened(database, holder):
    job = submit_rows(database, rows_named("a"))
    holder.settle(requeued(holder.claim(job).claims[0]))
    holder.settle(dead_lettered(holder.claim(job).claims[0], "too_long"))
    with database.read() as connection:
        (letter,) = listing.letters(connection, Filters(), limit=None)
    assert letter == listing.Letter(
        request=RequestId(1),
        job=job.id,
        line=1,
        custom_id="a",
        kind="permanent",
        status=400,
        code="too_long",
        message="it was too_long",
        attempts=2,
        provider_request_id="req_1",
        dead_lettered_at=START,
    )


def test_a_request_is_shown_with_its_body_and_every_attempt(database, holder):
    job = submit_rows(database, [Row("a", body=b'{"x": 1}')])
    holder.settle(requeued(holder.claim(job).claims[0], timeout=True))
    holder.settle(dead_lettered(holder.claim(job).claims[0], "too_long", reply=b"no"))
    with database.read() as connection:
        shown = listing.show(connection, RequestId(1))
    assert (shown.body, shown.path, shown.model, shown.state) == (
        b'{"x": 1}',
        "/v1/chat/completions",
        "m",
        "dead_lettered",
    )
    assert [(each.send, each.kind, each.code, each.reply) for each in shown.history] == [
        (1, "transient", "busy", None),
        (2, "permanent", "too_long", b"no"),
    ]


def test_a_follower_is_shown_with_what_its_leader_died_of(database, holder, clock, group):
    (lead, follower, _) = ids_of(database, "lead", "f1", "f2")
    retry(database, "lead")
    clock.at += SECOND
    holder.settle(completed(holder.claim(group).claims[0], at=clock.at))
    with database.read() as connection:
        assert [each.kind for each in listing.show(connection, lead).history] == ["permanent", "success"]
        shown = listing.show(connection, follower)
    assert [each.kind for each in shown.history] == ["permanent"]
    assert (shown.letter.code, shown.letter.status, shown.letter.attempts) == ("bad_request", 400, 0)


def test_an_unknown_request_is_said_to_be(database):
    with database.read() as connection, pytest.raises(UsageError, match="no request 7"):
        listing.show(connection, RequestId(7))


# --- putting back ---


def test_a_retried_row_starts_anew_and_keeps_its_number_of_sends(database, holder):
    job = submit_rows(database, rows_named("a"))
    holder.settle(requeued(holder.claim(job).claims[0], timeout=True))
    holder.settle(dead_lettered(holder.claim(job).claims[0]))
    assert retry(database, "a") == [job.id]
    row = stored(database)["a"]
    assert (row["state"], row["sends"], row["spent"], row["timeouts"], row["lost"]) == ("pending", 2, 0, 0, 0)
    assert (row["settled_at"], row["failure_code"], row["failure_kind"]) == (None, None, None)
    (claim,) = holder.claim(job).claims
    assert (claim.send, claim.attempts_used) == (3, 0)
    holder.settle(completed(claim))
    with database.read() as connection:
        history = listing.show(connection, RequestId(1)).history
    assert [each.kind for each in history] == ["transient", "permanent", "success"]


def test_only_dead_letters_are_put_back(database, several):
    one, _ = several
    assert retry(database, "r0", "r1") == [one.id]
    assert states(database, one) == {"r0": "pending", "r1": "completed", "r2": "dead_lettered"}
    assert retry(database, "r0") == []


def test_a_finished_job_with_a_retried_row_can_be_run_again(database, holder):
    job = submit_rows(database, rows_named("a"))
    holder.settle(dead_lettered(holder.claim(job).claims[0]))
    with database.write() as connection:
        assert jobs.finish(connection, [job.id], now=START) == [job.id]
    retry(database, "a")
    after = job_now(database, job)
    assert (after.state, after.finished_at) == (JobState.OPEN, START)
    assert names(holder.claim(job).claims) == ["a"]


def test_a_group_that_is_retried_whole_sends_one_request(database, holder, group):
    retry(database, "lead", "f1", "f2")
    assert leaders(database) == {"lead": None, "f1": "lead", "f2": "lead"}
    (claim,) = holder.claim(group).claims
    (settled,) = holder.settle(completed(claim))
    assert (claim.custom_id, len(settled.completed), settled.cached) == ("lead", 3, 2)


def test_a_follower_that_is_retried_alone_leads_itself(database, holder, group):
    retry(database, "f2")
    assert leaders(database) == {"lead": None, "f1": "lead", "f2": None}
    (claim,) = holder.claim(group).claims
    assert (claim.custom_id, claim.send) == ("f2", 1)
    holder.settle(completed(claim))
    assert states(database) == {"lead": "dead_lettered", "f1": "dead_lettered", "f2": "completed"}


def test_of_retried_followers_the_first_leads(database, holder, group):
    retry(database, "f1", "f2")
    assert leaders(database) == {"lead": None, "f1": None, "f2": "f1"}
    holder.settle(completed(holder.claim(group).claims[0]))
    assert states(database) == {"lead": "dead_lettered", "f1": "completed", "f2": "completed"}


def test_nobody_follows_a_follower_however_a_group_comes_back(database, holder, group):
    retry(database, "f1", "f2")
    retry(database, "lead")
    assert leaders(database) == {"lead": None, "f1": "lead", "f2": "lead"}
    holder.settle(completed(holder.claim(group).claims[0]))
    assert set(states(database).values()) == {"completed"}


def test_a_row_on_its_way_leads_those_that_are_retried_later(database, holder, group):
    retry(database, "f1")
    (sending,) = holder.claim(group).claims
    retry(database, "lead", "f2")
    assert leaders(database) == {"lead": "f1", "f1": None, "f2": "f1"}
    assert holder.claim(group).claims == []
    holder.settle(completed(sending))
    assert set(states(database).values()) == {"completed"}


def test_a_row_that_leads_anew_after_it_followed_is_sent(database, holder, group):
    retry(database, "f1")
    (sending,) = holder.claim(group).claims
    retry(database, "lead")
    holder.settle(requeued(sending, START + SECOND))
    retry(database, "f2")
    assert leaders(database) == {"lead": None, "f1": "lead", "f2": "lead"}
    assert names(holder.claim(group).claims) == ["lead"]


def test_a_row_retried_after_its_twin_was_answered_sends_nothing(database, holder, group):
    retry(database, "f1")
    holder.settle(completed(holder.claim(group).claims[0]))
    retry(database, "lead")
    claimed = holder.claim(group)
    assert claimed.claims == []
    assert claimed.settled[0].cached == 1
    assert states(database)["lead"] == "completed"


def test_rows_that_share_nothing_do_not_follow_one_another(database, holder):
    job = submit_rows(database, [Row("a", TWIN, shares=False), Row("b", TWIN, shares=False)])
    holder.settle(*[dead_lettered(each) for each in holder.claim(job).claims])
    retry(database, "a", "b")
    assert leaders(database) == {"a": None, "b": None}


def test_groups_of_two_jobs_stay_apart(database, holder):
    one = submit_rows(database, [Row("a", TWIN), Row("b", TWIN)], name="one")
    two = submit_rows(database, [Row("x", TWIN), Row("y", TWIN)], name="two")
    holder.settle(dead_lettered(holder.claim(one).claims[0]))
    holder.settle(dead_lettered(holder.claim(two).claims[0]))
    assert retry(database, "a", "b", "x", "y") == [one.id, two.id]
    assert leaders(database) == {"a": None, "b": "a", "x": None, "y": "x"}


def test_a_row_that_was_sent_itself_and_then_followed_shows_both(database, holder, clock):
    job = submit_rows(database, [Row("lead", TWIN), Row("f1", TWIN)])
    holder.settle(dead_lettered(holder.claim(job).claims[0], "first"))
    retry(database, "f1")
    clock.at += SECOND
    holder.settle(dead_lettered(holder.claim(job).claims[0], "second", at=clock.at))
    retry(database, "lead", "f1")
    clock.at += SECOND
    holder.settle(dead_lettered(holder.claim(job).claims[0], "third", at=clock.at))
    lead, follower = ids_of(database, "lead", "f1")
    with database.read() as connection:
        history = listing.show(connection, follower).history
    assert [(each.request_id, each.send, each.code) for each in history] == [
        (follower, 1, "second"),
        (lead, 2, "third"),
    ]
