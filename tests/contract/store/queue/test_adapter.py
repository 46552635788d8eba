"""The contract of every Queue for claims and settlements, tested on the SQL queue with both writers."""

import pytest
from msgspec.structs import replace

from batcher.domain.requests import Claim
from batcher.store.jobs import jobs
from batcher.store.queue import adapter, claim
from batcher.store.queue.adapter import SqlQueue
from tests.support.stores import (
    PLENTY,
    SECOND,
    START,
    Row,
    completed,
    dead_lettered,
    names,
    new_holder,
    numbered,
    released,
    requeued,
    routes_of,
    rows_named,
    states,
    stored,
    submit_rows,
    table,
    wants,
)
from tests.support.transactions import KilledError, Transactions, killed_before

# --- claiming ---


async def test_fresh_rows_are_claimed_in_file_order(database, ask):
    job = submit_rows(database, numbered(5))
    assert names((await ask(job, most=3)).claims) == ["r0", "r1", "r2"]
    assert names((await ask(job, most=3)).claims) == ["r3", "r4"]


async def test_a_claim_carries_what_a_worker_needs(database, ask, me):
    job = submit_rows(database, [Row("a", body=b'{"x": 1}', model="gpt")])
    (route,) = routes_of(database, job)
    (claim,) = (await ask(job)).claims
    assert claim == Claim(
        request_id=claim.request_id,
        job_id=job.id,
        route_id=route.id,
        endpoint_id=job.endpoint_id,
        line=1,
        custom_id="a",
        path="/v1/chat/completions",
        model="gpt",
        send=1,
        attempts_used=0,
        lost=0,
        timeouts=0,
        revision=0,
        est_input=10,
        est_output=20,
        body=b'{"x": 1}',
    )
    row = stored(database)["a"]
    assert (row["state"], row["holder_id"], row["sends"]) == ("claimed", me, 1)


async def test_due_rows_come_before_fresh_ones_the_longest_due_first(database, ask, queue, clock):
    job = submit_rows(database, numbered(5))
    first = (await ask(job, most=3)).claims
    later = [START + 3 * SECOND, START + SECOND, START + 2 * SECOND]
    await queue.settle([requeued(each, at) for each, at in zip(first, later, strict=True)])
    clock.at = START + 2 * SECOND
    assert names((await ask(job)).claims) == ["r1", "r2", "r3", "r4"]


async def test_only_the_given_routes_are_claimed(database, queue):
    job = submit_rows(database, [Row("a", model="x"), Row("b", model="y"), Row("c", model="x")])
    x = [route for route in routes_of(database, job) if route.model == "x"]
    claimed = await queue.claim(wants(x), most_bytes=PLENTY)
    assert names(claimed.claims) == ["a", "c"]
    assert {each.model for each in claimed.claims} == {"x"}


async def test_bytes_bound_a_claim_over_all_routes(database, ask):
    rows = [Row(f"r{number}", body=b"%03d" % number, model=f"m{number % 2}") for number in range(6)]
    job = submit_rows(database, rows)
    assert len((await ask(job, most_bytes=12)).claims) == 4
    assert len((await ask(job, most_bytes=12)).claims) == 2


async def test_each_route_has_a_bound_of_bytes_of_its_own(database, queue):
    rows = [Row(f"r{number}", body=b"%03d" % number, model=f"m{number % 2}") for number in range(8)]
    wanted = [replace(want, most_bytes=7) for want in wants(routes_of(database, submit_rows(database, rows)))]
    claimed = await queue.claim(wanted, most_bytes=PLENTY)
    assert (names(claimed.claims), claimed.next_due) == (["r0", "r2", "r1", "r3"], {})
    # One request fits whatever its size, but only one a claim.
    claimed = await queue.claim([replace(want, most_bytes=1) for want in wanted], most_bytes=PLENTY)
    assert names(claimed.claims) == ["r4"]


async def test_one_request_fits_whatever_its_size(database, ask):
    job = submit_rows(database, [Row("big", body=b"x" * 100), Row("small", body=b"y")])
    assert names((await ask(job, most_bytes=10)).claims) == ["big"]


async def test_a_route_whose_rows_did_not_fit_is_not_called_empty(database, ask):
    job = submit_rows(database, [Row("a", body=b"x" * 100), Row("b", body=b"y" * 100)])
    claimed = await ask(job, most_bytes=150)
    assert names(claimed.claims) == ["a"]
    assert claimed.next_due == {}


async def test_a_route_that_gave_less_than_was_wanted_says_when_more_is_due(database, ask, queue):
    job = submit_rows(database, numbered(2))
    (route,) = routes_of(database, job)
    claimed = await ask(job)
    assert claimed.next_due == {route.id: None}
    await queue.settle([requeued(claimed.claims[0], START + 9 * SECOND)])
    assert (await ask(job)).next_due == {route.id: START + 9 * SECOND}


async def test_a_due_row_that_is_claimed_is_not_announced_as_the_next(database, ask, queue, clock):
    job = submit_rows(database, numbered(2))
    (route,) = routes_of(database, job)
    one, two = (await ask(job)).claims
    await queue.settle([requeued(one, START + SECOND), requeued(two, START + 5 * SECOND)])
    clock.at = START + 2 * SECOND
    claimed = await ask(job)
    assert names(claimed.claims) == ["r0"]
    assert claimed.next_due == {route.id: START + 5 * SECOND}


async def test_a_route_that_gave_all_that_was_wanted_says_nothing(database, ask):
    job = submit_rows(database, numbered(3))
    assert (await ask(job, most=2)).next_due == {}


async def test_two_holders_never_claim_the_same_row(database, ask, writer, clock):
    job = submit_rows(database, numbered(4))
    other = SqlQueue(writer, new_holder(database, pid=2), clock)
    mine = (await ask(job, most=3)).claims
    theirs = (await other.claim(wants(routes_of(database, job)), most_bytes=PLENTY)).claims
    assert names(mine) == ["r0", "r1", "r2"]
    assert names(theirs) == ["r3"]


# --- settling ---


async def test_a_completed_row_keeps_its_answer_and_its_attempt(database, ask, queue, me):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    (settled,) = await queue.settle([completed(claim, b"answer")])
    assert (settled.job_id, settled.completed, settled.dead_lettered) == (job.id, [claim.request_id], [])
    assert settled.cached == 0
    row = stored(database)["a"]
    (response,) = table(database, "responses")
    (attempt,) = table(database, "attempts")
    assert (row["state"], row["response_id"], row["settled_at"]) == ("completed", response["id"], START)
    assert (response["body"], response["request_id"], response["output_tokens"]) == (b"answer", row["id"], 4)
    assert (attempt["request_id"], attempt["send"], attempt["kind"], attempt["holder_id"]) == (
        row["id"],
        1,
        "success",
        me,
    )
    assert attempt["reply"] is None


async def test_a_dead_letter_keeps_its_cause_and_the_reply(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    (settled,) = await queue.settle([dead_lettered(claim, "too_long", reply=b"no")])
    assert settled.dead_lettered == [claim.request_id]
    row = stored(database)["a"]
    assert (row["state"], row["failure_kind"], row["failure_code"]) == ("dead_lettered", "permanent", "too_long")
    assert table(database, "attempts")[0]["reply"] == b"no"


async def test_a_group_settles_each_of_its_kinds(database, ask, queue):
    job = submit_rows(database, numbered(4))
    a, b, c, d = (await ask(job)).claims
    (settled,) = await queue.settle([completed(a), dead_lettered(b), requeued(c), released(d)])
    assert (settled.completed, settled.dead_lettered) == ([a.request_id], [b.request_id])
    assert states(database) == {"r0": "completed", "r1": "dead_lettered", "r2": "pending", "r3": "pending"}


async def test_settled_rows_are_returned_by_job(database, ask, queue):
    one, two = (
        submit_rows(database, rows_named("a"), name="one"),
        submit_rows(database, rows_named("b"), name="two"),
    )
    claims = (await ask(one, two)).claims
    settled = await queue.settle([completed(each) for each in claims])
    assert {each.job_id: len(each.completed) for each in settled} == {one.id: 1, two.id: 1}


async def test_releasing_gives_the_number_of_the_send_and_the_place_back(database, ask, queue):
    job = submit_rows(database, numbered(3))
    first, *_ = (await ask(job, most=2)).claims
    assert list(await queue.settle([released(first)])) == []
    row = stored(database)["r0"]
    assert (row["state"], row["sends"], row["spent"], row["available_at"]) == ("pending", 0, 0, None)
    assert table(database, "attempts") == []
    again = (await ask(job)).claims
    assert [(each.custom_id, each.send) for each in again] == [("r0", 1), ("r2", 1)]


async def test_a_row_requeued_at_once_keeps_its_place_in_file_order(database, ask, queue):
    job = submit_rows(database, numbered(4))
    first, *_ = (await ask(job, most=2)).claims
    await queue.settle([requeued(first, None, uses_attempt=False)])
    assert [(each.custom_id, each.send) for each in (await ask(job)).claims] == [("r0", 2), ("r2", 1), ("r3", 1)]


async def test_a_row_requeued_for_later_is_not_claimed_before_its_time(database, ask, queue, clock):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    await queue.settle([requeued(claim, START + SECOND)])
    clock.at = START + SECOND - 1
    assert (await ask(job)).claims == []
    clock.at += 1
    assert names((await ask(job)).claims) == ["a"]


@pytest.mark.parametrize(
    ("spent", "timeout", "expected"),
    [(True, False, (1, 0)), (False, False, (0, 0)), (True, True, (1, 1)), (False, True, (0, 1))],
)
async def test_a_requeue_counts_what_it_cost(database, ask, queue, spent, timeout, expected):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    await queue.settle([requeued(claim, uses_attempt=spent, timeout=timeout)])
    (again,) = (await ask(job)).claims
    assert (again.attempts_used, again.timeouts) == expected
    assert again.send == 2


async def test_a_settlement_by_another_holder_changes_nothing_but_keeps_the_attempt(
    database, ask, writer, clock, me
):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    stranger = SqlQueue(writer, new_holder(database, pid=2), clock)
    assert list(await stranger.settle([completed(claim)])) == []
    row = stored(database)["a"]
    assert (row["state"], row["holder_id"]) == ("claimed", me)
    assert table(database, "responses") == []
    assert table(database, "cache") == []
    assert [attempt["kind"] for attempt in table(database, "attempts")] == ["success"]


async def test_a_settlement_of_an_earlier_send_changes_nothing(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    (first,) = (await ask(job)).claims
    await queue.settle([requeued(first)])
    (second,) = (await ask(job)).claims
    assert list(await queue.settle([completed(first)])) == []
    assert stored(database)["a"]["state"] == "claimed"
    # The record of the first send stays as it was first written.
    assert [(each["send"], each["kind"]) for each in table(database, "attempts")] == [(1, "transient")]
    assert len(list(await queue.settle([completed(second)]))) == 1


async def test_a_stale_settlement_takes_no_valid_one_of_its_group_with_it(database, ask, queue):
    job = submit_rows(database, rows_named("a", "b"))
    stale, other = (await ask(job)).claims
    await queue.settle([requeued(stale)])
    (valid,) = (await ask(job)).claims
    (settled,) = await queue.settle([completed(stale), completed(valid), completed(other)])
    assert sorted(settled.completed) == [valid.request_id, other.request_id]


async def test_settling_a_group_twice_changes_nothing(database, ask, queue):
    job = submit_rows(database, [*numbered(4), Row("f", body=b'{"user": "r0"}')])
    a, b, c, d = (await ask(job)).claims
    group = [completed(a), dead_lettered(b), requeued(c, START + SECOND), released(d)]
    assert len((await queue.settle(group))[0].completed) == 2
    before = stored(database), table(database, "attempts"), table(database, "responses"), table(database, "cache")
    assert list(await queue.settle(group)) == []
    assert before == (
        stored(database),
        table(database, "attempts"),
        table(database, "responses"),
        table(database, "cache"),
    )


async def test_a_group_that_brings_a_settlement_twice_writes_it_once(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    (settled,) = await queue.settle([completed(claim), completed(claim)])
    assert settled.completed == [claim.request_id]
    assert len(table(database, "responses")) == 1


async def test_a_settlement_of_a_deleted_job_leaves_nothing_behind(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    with database.write() as connection:
        while jobs.delete_some(connection, job):
            pass
    assert list(await queue.settle([completed(claim)])) == []
    assert table(database, "attempts") == []


# --- very many at once ---


async def test_very_many_settlements_take_several_commits(database, ask, queue, monkeypatch):
    monkeypatch.setattr(adapter, "MOST_SETTLED", 4)
    job = submit_rows(database, numbered(10))
    claims = (await ask(job)).claims
    transactions = Transactions(database, monkeypatch)
    settled = await queue.settle([completed(each) for each in claims])
    assert [len(each.completed) for each in settled] == [4, 4, 2]
    assert set(states(database).values()) == {"completed"}
    assert len(transactions.changes) == 3


async def test_what_a_kill_left_of_very_many_settlements_is_settled_by_the_same_call(
    database, ask, queue, monkeypatch
):
    monkeypatch.setattr(adapter, "MOST_SETTLED", 4)
    job = submit_rows(database, numbered(10))
    settlements = [completed(each) for each in (await ask(job)).claims]
    transactions = Transactions(database, monkeypatch)
    transactions.before = killed_before(1)
    with pytest.raises(KilledError):
        await queue.settle(settlements)
    transactions.before = killed_before(99)
    assert [len(each.completed) for each in await queue.settle(settlements)] == [4, 2]
    assert len(table(database, "responses")) == len(table(database, "attempts")) == 10


async def test_one_claim_takes_a_bounded_number_of_rows_and_leaves_the_rest_for_the_next(
    database, ask, monkeypatch
):
    monkeypatch.setattr(claim, "MOST_CLAIMS", 5)
    one = submit_rows(database, numbered(7), name="one")
    two = submit_rows(database, rows_named("a", "b", "c", "d"), name="two")
    first = await ask(one, two)
    assert (len(first.claims), first.next_due) == (5, {})
    second = await ask(one, two)
    assert len(second.claims) == 5
    assert list(second.next_due) == [routes_of(database, one)[0].id]
    assert len((await ask(one, two)).claims) == 1
