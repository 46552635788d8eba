"""What every Queue promises, asked of the SQL queue through both of its writers."""

from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text

from batcher.domain.errors import UnknownJob
from batcher.domain.ids import HolderId
from batcher.domain.jobs import Job
from batcher.domain.lanes import LaneKey, StoredLane
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import Claim, Claimed
from batcher.domain.settings import Limits
from batcher.domain.states import JobState, PauseReason, PauseScope
from batcher.ports import Queue
from batcher.store import cache, jobs, pauses
from batcher.store.adapter import SqlQueue
from batcher.store.claim import PARK_US
from batcher.store.engine import Database
from batcher.store.holders import WORKER_LOST_AFTER
from batcher.store.tables import SUSPECT_AFTER
from batcher.store.thread import InlineWriter, StoreThread, Writer
from tests.support.stores import (
    LANE,
    PLENTY,
    SECOND,
    START,
    ManualClock,
    Row,
    begin_job,
    buried,
    completed,
    job_now,
    names,
    new_holder,
    numbered,
    released,
    requeued,
    rescue,
    routes_of,
    rows_named,
    states,
    stored,
    submit_rows,
    table,
    wants,
)

TWIN = b'{"same": true}'


@pytest.fixture(params=[StoreThread, InlineWriter])
async def writer(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Writer]:
    make: Callable[[Database], Writer] = request.param
    made = make(database)
    yield made
    made.close()


@pytest.fixture
def me(database: Database) -> HolderId:
    return new_holder(database)


@pytest.fixture
def queue(writer: Writer, clock: ManualClock, me: HolderId) -> Queue:
    return SqlQueue(writer, me, clock)


@pytest.fixture
def ask(queue: Queue, database: Database):
    """Claims from jobs, all their routes."""

    async def claim(*of: Job, most: int = 1000, most_bytes: int = PLENTY, alone: bool = False) -> Claimed:
        return await queue.claim(wants(routes_of(database, *of), most), most_bytes=most_bytes, alone=alone)

    return claim


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
        spent=0,
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
    (settled,) = await queue.settle([buried(claim, "too_long", reply=b"no")])
    assert settled.dead_lettered == [claim.request_id]
    row = stored(database)["a"]
    assert (row["state"], row["failure_kind"], row["failure_code"]) == ("dead_lettered", "permanent", "too_long")
    assert table(database, "attempts")[0]["reply"] == b"no"


async def test_a_group_settles_each_of_its_kinds(database, ask, queue):
    job = submit_rows(database, numbered(4))
    a, b, c, d = (await ask(job)).claims
    (settled,) = await queue.settle([completed(a), buried(b), requeued(c), released(d)])
    assert (settled.completed, settled.dead_lettered) == ([a.request_id], [b.request_id])
    assert states(database) == {"r0": "completed", "r1": "dead_lettered", "r2": "pending", "r3": "pending"}


async def test_what_settles_is_told_by_job(database, ask, queue):
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
    await queue.settle([requeued(first, None, spent=False)])
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
    await queue.settle([requeued(claim, spent=spent, timeout=timeout)])
    (again,) = (await ask(job)).claims
    assert (again.spent, again.timeouts) == expected
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
    # The record of the first send stays as it was written first.
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
    group = [completed(a), buried(b), requeued(c, START + SECOND), released(d)]
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


# --- followers ---


async def test_followers_are_not_claimed_and_complete_with_their_leader(database, ask, queue):
    job = submit_rows(database, [Row("lead", TWIN), Row("other"), Row("f1", TWIN), Row("f2", TWIN)])
    lead, other = (await ask(job)).claims
    assert names([lead, other]) == ["lead", "other"]
    (settled,) = await queue.settle([completed(lead, b"shared")])
    rows = stored(database)
    assert sorted(settled.completed) == [rows["lead"]["id"], rows["f1"]["id"], rows["f2"]["id"]]
    assert settled.cached == 2
    assert {rows[name]["response_id"] for name in ("lead", "f1", "f2")} == {rows["lead"]["response_id"]}
    assert [rows[name]["cached"] for name in ("lead", "f1", "f2")] == [0, 1, 1]
    assert [rows[name]["sends"] for name in ("f1", "f2")] == [0, 0]
    assert len(table(database, "attempts")) == 1


async def test_followers_die_with_their_leader_for_the_same_cause(database, ask, queue):
    job = submit_rows(database, [Row("lead", TWIN), Row("f1", TWIN)])
    (lead,) = (await ask(job)).claims
    (settled,) = await queue.settle([buried(lead, "too_long")])
    rows = stored(database)
    assert sorted(settled.dead_lettered) == [rows["lead"]["id"], rows["f1"]["id"]]
    assert (rows["f1"]["state"], rows["f1"]["failure_code"], rows["f1"]["failure_kind"]) == (
        "dead_lettered",
        "too_long",
        "permanent",
    )
    assert len(table(database, "attempts")) == 1


async def test_followers_wait_while_their_leader_is_requeued(database, ask, queue):
    job = submit_rows(database, [Row("lead", TWIN), Row("f1", TWIN)])
    (lead,) = (await ask(job)).claims
    assert list(await queue.settle([requeued(lead)])) == []
    assert states(database) == {"lead": "pending", "f1": "pending"}
    assert names((await ask(job)).claims) == ["lead"]


async def test_rows_that_share_nothing_are_each_sent(database, ask):
    job = submit_rows(database, [Row("a", TWIN, shares=False), Row("b", TWIN, shares=False)])
    assert names((await ask(job)).claims) == ["a", "b"]


async def test_the_same_body_on_another_path_is_another_request(database, ask):
    job = submit_rows(database, [Row("a", TWIN), Row("b", TWIN, path="/v1/completions")])
    assert names((await ask(job)).claims) == ["a", "b"]


# --- answers of other jobs ---


async def test_a_row_answered_in_an_earlier_job_completes_at_the_claim_with_its_followers(database, ask, queue):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0], b"known")])
    later = submit_rows(database, [Row("x", TWIN), Row("y", TWIN), Row("z")], name="later")
    claimed = await ask(later)
    assert names(claimed.claims) == ["z"]
    rows = stored(database, later)
    (settled,) = claimed.settled
    assert (settled.job_id, settled.cached) == (later.id, 2)
    assert sorted(settled.completed) == [rows["x"]["id"], rows["y"]["id"]]
    assert [rows[name]["state"] for name in ("x", "y")] == ["completed", "completed"]
    assert [rows[name]["cached"] for name in ("x", "y")] == [1, 1]
    assert rows["x"]["response_id"] == rows["y"]["response_id"] == stored(database, earlier)["a"]["response_id"]


async def test_a_job_that_reuses_nothing_sends_what_an_earlier_job_has_answered(database, ask, queue):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    later = submit_rows(database, [Row("x", TWIN), Row("y", TWIN)], name="later", reuse_earlier=False)
    claimed = await ask(later)
    assert names(claimed.claims) == ["x"]
    assert list(claimed.settled) == []
    await queue.settle([completed(claimed.claims[0], b"mine")])
    assert states(database, later) == {"x": "completed", "y": "completed"}
    own = stored(database, later)["y"]["response_id"]
    assert [each["body"] for each in table(database, "responses") if each["id"] == own] == [b"mine"]


async def test_a_dead_letter_is_not_remembered_as_an_answer(database, ask, queue):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    await queue.settle([buried((await ask(earlier)).claims[0])])
    later = submit_rows(database, [Row("x", TWIN)], name="later")
    assert names((await ask(later)).claims) == ["x"]


async def test_an_answer_of_one_endpoint_serves_no_other(database, ask, queue):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    elsewhere = submit_rows(database, [Row("x", TWIN)], name="elsewhere", base_url="http://127.0.0.1:9/v1")
    assert names((await ask(elsewhere)).claims) == ["x"]


async def test_a_cleared_cache_answers_nothing(database, ask, queue):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    await queue.settle([completed((await ask(earlier)).claims[0])])
    with database.write() as connection:
        cache.clear(connection, before=None)
    later = submit_rows(database, [Row("x", TWIN)], name="later")
    assert names((await ask(later)).claims) == ["x"]


async def test_a_row_whose_body_another_job_has_in_flight_waits_for_it(database, ask, queue, clock):
    one = submit_rows(database, [Row("a", TWIN)], name="one")
    two = submit_rows(database, [Row("x", TWIN), Row("y")], name="two")
    (mine,) = (await ask(one)).claims
    claimed = await ask(two)
    assert names(claimed.claims) == ["y"]
    (route,) = routes_of(database, two)
    assert claimed.next_due == {route.id: START + PARK_US}
    await queue.settle([completed(mine)])
    clock.at += PARK_US
    assert (await ask(two)).settled[0].cached == 1
    assert states(database, two)["x"] == "completed"


async def test_a_parked_row_is_sent_itself_when_its_twin_died(database, ask, queue, clock):
    one = submit_rows(database, [Row("a", TWIN)], name="one")
    two = submit_rows(database, [Row("x", TWIN)], name="two")
    (mine,) = (await ask(one)).claims
    await ask(two)
    await queue.settle([buried(mine)])
    clock.at += PARK_US
    assert names((await ask(two)).claims) == ["x"]


async def test_two_jobs_in_one_claim_send_a_body_once(database, ask):
    one = submit_rows(database, [Row("a", TWIN)], name="one")
    two = submit_rows(database, [Row("x", TWIN)], name="two")
    assert names((await ask(one, two)).claims) == ["a"]
    assert states(database, two) == {"x": "pending"}


async def test_a_job_that_reuses_nothing_waits_for_no_other(database, ask):
    one = submit_rows(database, [Row("a", TWIN)], name="one")
    two = submit_rows(database, [Row("x", TWIN)], name="two", reuse_earlier=False)
    assert names((await ask(one, two)).claims) == ["a", "x"]


# --- cancelling ---


async def cancel(database: Database, job: Job, now: int = START) -> int:
    with database.write() as connection:
        return jobs.cancel(connection, job, now=now)


async def test_a_cancel_takes_what_is_pending_and_leaves_what_is_in_flight(database, ask, queue):
    job = submit_rows(database, numbered(3))
    (claim,) = (await ask(job, most=1)).claims
    assert await cancel(database, job) == 2
    assert states(database) == {"r0": "claimed", "r1": "cancelled", "r2": "cancelled"}
    await queue.settle([completed(claim)])
    assert states(database)["r0"] == "completed"


@pytest.mark.parametrize(("end", "sends"), [(requeued, 1), (released, 0)])
async def test_a_row_of_a_cancelled_job_that_comes_back_is_cancelled(database, ask, queue, end, sends):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    await cancel(database, job)
    await queue.settle([end(claim)])
    row = stored(database)["a"]
    assert (row["state"], row["settled_at"], row["sends"]) == ("cancelled", START, sends)
    assert (await ask(job)).claims == []


async def test_followers_are_cancelled_while_their_leader_is_in_flight(database, ask, queue):
    job = submit_rows(database, [Row("lead", TWIN), Row("f", TWIN)])
    (lead,) = (await ask(job)).claims
    await cancel(database, job)
    await queue.settle([completed(lead)])
    assert states(database) == {"lead": "completed", "f": "cancelled"}


async def test_a_finished_job_is_not_cancelled(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.settle([completed((await ask(job)).claims[0])])
    await queue.finish([job.id])
    assert await cancel(database, job, now=START + SECOND) == 0
    after = job_now(database, job)
    assert (after.state, after.finished_at) == (JobState.COMPLETED, START)


# --- holders that die ---


async def test_rescue_gives_back_what_a_dead_holder_had(database, ask, me):
    job = submit_rows(database, numbered(3))
    await ask(job, most=2)
    assert rescue(database, now=START + SECOND) == 2
    row = stored(database)["r0"]
    assert (row["state"], row["lost"], row["spent"], row["sends"]) == ("pending", 1, 0, 1)
    lost = table(database, "attempts")
    assert [(each["kind"], each["send"], each["code"], each["holder_id"]) for each in lost] == [
        ("lost", 1, "worker_lost", me)
    ] * 2
    assert table(database, "holders")[0]["ended_at"] == START + SECOND


@pytest.mark.usefixtures("me")
async def test_a_rescue_with_nothing_to_give_back_ends_the_holder(database):
    assert rescue(database) == 0
    assert [each["ended_at"] for each in table(database, "holders")] == [START]


async def test_a_rescued_holder_cannot_settle(database, ask, queue, clock, writer):
    job = submit_rows(database, rows_named("a"))
    (old,) = (await ask(job)).claims
    rescue(database)
    assert list(await queue.settle([completed(old)])) == []
    heir = SqlQueue(writer, new_holder(database, pid=2), clock)
    (new,) = (await heir.claim(wants(routes_of(database, job)), most_bytes=PLENTY)).claims
    assert (new.send, new.lost) == (2, 1)
    assert list(await queue.settle([completed(old)])) == []
    assert stored(database)["a"]["state"] == "claimed"
    assert len(await heir.settle([completed(new)])) == 1


async def test_a_rescue_gives_back_even_where_the_attempt_is_on_record(database, ask, writer, clock):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    await SqlQueue(writer, new_holder(database, pid=2), clock).settle([completed(claim)])
    assert rescue(database) == 1
    assert states(database) == {"a": "pending"}


async def test_rescued_rows_of_a_cancelled_job_are_cancelled(database, ask):
    job = submit_rows(database, rows_named("a"))
    await ask(job)
    await cancel(database, job)
    assert rescue(database) == 1
    assert states(database) == {"a": "cancelled"}


async def lose(database: Database, writer: Writer, clock: ManualClock, job: Job, times: int) -> None:
    """Let so many holders die with the job's first row; alone where it is a suspect."""
    for time in range(times):
        heir = SqlQueue(writer, new_holder(database, pid=50 + time), clock)
        wanted = wants(routes_of(database, job), most=1)
        claimed = await heir.claim(wanted, most_bytes=PLENTY, alone=time >= SUSPECT_AFTER)
        assert names(claimed.claims) == ["r0"]
        assert rescue(database) == 1


async def test_a_row_that_lost_several_holders_is_claimed_only_alone(database, ask, writer, clock):
    job = submit_rows(database, numbered(2))
    await lose(database, writer, clock, job, SUSPECT_AFTER)
    (route,) = routes_of(database, job)
    claimed = await ask(job)
    assert names(claimed.claims) == ["r1"]
    assert claimed.next_due == {route.id: None}
    alone = await ask(job, alone=True)
    assert [(each.custom_id, each.lost) for each in alone.claims] == [("r0", SUSPECT_AFTER)]


async def test_alone_claims_one_suspect_and_nothing_that_is_healthy(database, ask, writer, clock):
    job = submit_rows(database, numbered(3))
    for _ in range(SUSPECT_AFTER):
        heir = SqlQueue(writer, new_holder(database), clock)
        await heir.claim(wants(routes_of(database, job), most=2), most_bytes=PLENTY)
        rescue(database)
    assert names((await ask(job, alone=True)).claims) == ["r0"]
    assert names((await ask(job, alone=True)).claims) == ["r1"]
    assert (await ask(job, alone=True)).claims == []
    assert names((await ask(job)).claims) == ["r2"]


async def test_a_suspect_that_waits_says_when_it_is_due(database, ask, queue, writer, clock):
    job = submit_rows(database, numbered(1))
    await lose(database, writer, clock, job, SUSPECT_AFTER)
    (claim,) = (await ask(job, alone=True)).claims
    await queue.settle([requeued(claim, START + SECOND)])
    (route,) = routes_of(database, job)
    claimed = await ask(job, alone=True)
    assert claimed.claims == []
    assert claimed.next_due == {route.id: START + SECOND}


async def test_a_row_that_kills_its_holder_also_alone_is_dead_with_its_followers(database, writer, clock):
    twin = b'{"user": "r0"}'
    job = submit_rows(database, [*numbered(1), Row("f", twin)])
    await lose(database, writer, clock, job, WORKER_LOST_AFTER)
    rows = stored(database)
    assert [(rows[name]["state"], rows[name]["failure_code"]) for name in ("r0", "f")] == [
        ("dead_lettered", "worker_lost"),
        ("dead_lettered", "worker_lost"),
    ]
    assert rows["r0"]["lost"] == WORKER_LOST_AFTER
    assert len(table(database, "attempts")) == WORKER_LOST_AFTER


# --- jobs, pauses, lanes ---


async def test_a_job_is_given_with_its_routes_and_marked_as_started(database, queue, clock):
    job = submit_rows(database, [Row("a", model="x"), Row("b", model="y")])
    clock.at = START + SECOND
    given, routes = await queue.job(job.id)
    assert (given.id, given.started_at) == (job.id, START + SECOND)
    assert [(route.model, route.path) for route in routes] == [
        ("x", "/v1/chat/completions"),
        ("y", "/v1/chat/completions"),
    ]
    clock.at = START + 2 * SECOND
    assert (await queue.job(job.id))[0].started_at == START + SECOND


async def test_a_job_that_is_being_loaded_is_unknown(database, queue):
    with pytest.raises(UnknownJob):
        await queue.job(begin_job(database))
    assert table(database, "jobs")[0]["started_at"] is None


async def test_a_beat_tells_which_jobs_people_want(database, queue, clock):
    one = submit_rows(database, rows_named("a"), name="one")
    two = submit_rows(database, rows_named("b"), name="two")
    begin_job(database, name="loading")
    clock.at = START + SECOND
    assert (await queue.beat("{}")).jobs == {one.id: 1, two.id: 1}
    holder = table(database, "holders")[0]
    assert (holder["heartbeat_at"], holder["snapshot"]) == (START + SECOND, "{}")
    await cancel(database, one)
    with database.write() as connection:
        jobs.remember(connection, two.id, settings=two.settings)
    assert (await queue.beat("{}")).jobs == {two.id: 2}


async def test_a_job_is_finished_only_when_nothing_of_it_is_left(database, ask, queue):
    job = submit_rows(database, [Row("a"), Row("b"), Row("c", b'{"user": "b"}')])
    a, b = (await ask(job)).claims
    assert list(await queue.finish([job.id])) == []
    await queue.settle([completed(a), requeued(b, START + SECOND)])
    assert list(await queue.finish([job.id])) == []
    assert job_now(database, job).state is JobState.OPEN


async def test_a_job_whose_rows_are_all_at_their_end_is_finished_once(database, ask, queue):
    job = submit_rows(database, rows_named("a", "b"))
    a, b = (await ask(job)).claims
    await queue.settle([completed(a), buried(b)])
    assert list(await queue.finish([job.id])) == [job.id]
    after = job_now(database, job)
    assert (after.state, after.finished_at, after.wanted) == (JobState.COMPLETED, START, False)
    assert list(await queue.finish([job.id])) == []


async def test_a_job_without_a_row_is_finished(database, queue):
    job = submit_rows(database, [])
    assert list(await queue.finish([job.id])) == [job.id]


async def test_a_cancelled_job_is_not_finished_a_second_time(database, queue):
    job = submit_rows(database, rows_named("a"))
    await cancel(database, job)
    assert list(await queue.finish([job.id])) == []
    assert job_now(database, job).state is JobState.CANCELLED


async def test_time_worked_adds_up(database, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.add_active([job.id], 5)
    await queue.add_active([job.id], 7)
    assert job_now(database, job).active_us == 12


CAUSE = PauseCause(
    scope=PauseScope.KEY, reason=PauseReason.CREDENTIALS, message="the key is refused", fix="set OPENAI_API_KEY"
)


async def test_a_pause_stays_in_force_in_its_first_words_until_a_person_ends_it(database, queue, clock):
    job = submit_rows(database, rows_named("a"))
    ref = pauses.key_ref(job.endpoint_id, job.key_name)
    await queue.pause(CAUSE, ref)
    clock.at += SECOND
    await queue.pause(PauseCause(scope=CAUSE.scope, reason=CAUSE.reason, message="again", fix="again"), ref)
    with database.read() as connection:
        (pause,) = pauses.in_force(connection)
    assert (pause.message, pause.since, pause.reason) == ("the key is refused", START, "credentials")
    with database.write() as connection:
        ended = pauses.end_for(
            connection,
            endpoint_id=job.endpoint_id,
            key_name=job.key_name,
            lane_ids=[LANE],
            job_id=job.id,
            now=clock.at,
        )
        assert ended == 1
        assert pauses.in_force(connection) == []


async def test_a_pause_may_begin_again_after_it_ended(database, queue):
    job = submit_rows(database, rows_named("a"))
    ref = pauses.key_ref(job.endpoint_id, job.key_name)
    await queue.pause(CAUSE, ref)
    with database.write() as connection:
        connection.execute(text("UPDATE pauses SET ended_at = 1"))
    await queue.pause(CAUSE, ref)
    with database.read() as connection:
        assert len(pauses.in_force(connection)) == 1


async def test_resuming_a_job_ends_no_pause_of_another(database, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.pause(CAUSE, pauses.key_ref(job.endpoint_id, "ANOTHER_KEY"))
    with database.write() as connection:
        ended = pauses.end_for(
            connection, endpoint_id=job.endpoint_id, key_name=job.key_name, lane_ids=[], job_id=job.id, now=START
        )
    assert ended == 0


async def test_a_lane_is_remembered(queue, database):
    job = submit_rows(database, rows_named("a"))
    key = LaneKey(endpoint_id=job.endpoint_id, key_name="K", model="new")
    lane = await queue.open_lane(key)
    assert (lane.key, lane.limits, lane.level, lane.cooling_until) == (key, Limits(), None, None)
    learned = StoredLane(id=lane.id, key=key, limits=Limits(rpm=60.0), level=4.5, cooling_until=START + SECOND)
    await queue.save_lane(learned)
    assert await queue.open_lane(key) == learned
