"""The contract of every Queue for cancelled jobs and dead holders."""

import pytest
from msgspec.structs import replace

from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.ports import Store, Writer
from batcher.store.queue.adapter import SqlQueue
from batcher.store.queue.runners import WORKER_LOST_AFTER
from batcher.store.schema import SUSPECT_AFTER
from tests.support.stores import (
    PLENTY,
    SECOND,
    START,
    ManualClock,
    Row,
    cancel,
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

SAME_BODY = b'{"same": true}'


# --- cancelling ---


async def test_a_cancel_takes_what_is_pending_and_leaves_what_is_in_flight(database, ask, queue):
    job = submit_rows(database, numbered(3))
    (claim,) = (await ask(job, most=1)).claims
    assert cancel(database, job) == 2
    assert states(database) == {"r0": "claimed", "r1": "cancelled", "r2": "cancelled"}
    await queue.settle([completed(claim)])
    assert states(database)["r0"] == "completed"


@pytest.mark.parametrize(("end", "sends"), [(requeued, 1), (released, 0)])
async def test_a_row_of_a_cancelled_job_that_comes_back_is_cancelled(database, ask, queue, end, sends):
    job = submit_rows(database, rows_named("a"))
    (claim,) = (await ask(job)).claims
    cancel(database, job)
    await queue.settle([end(claim)])
    row = stored(database)["a"]
    assert (row["state"], row["settled_at"], row["sends"]) == ("cancelled", START, sends)
    assert (await ask(job)).claims == []


async def test_followers_are_cancelled_while_their_leader_is_in_flight(database, ask, queue):
    job = submit_rows(database, [Row("lead", SAME_BODY), Row("f", SAME_BODY)])
    (lead,) = (await ask(job)).claims
    cancel(database, job)
    await queue.settle([completed(lead)])
    assert states(database) == {"lead": "completed", "f": "cancelled"}


async def test_a_finished_job_is_not_cancelled(database, ask, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.settle([completed((await ask(job)).claims[0])])
    await queue.finish([job.id])
    assert cancel(database, job, now=START + SECOND) == 0
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
    cancel(database, job)
    assert rescue(database) == 1
    assert states(database) == {"a": "cancelled"}


async def lose(database: Store, writer: Writer, clock: ManualClock, job: Job, times: int) -> None:
    """Let this number of holders die with the job's first row, which runs alone once it is a suspect."""
    for time in range(times):
        heir = SqlQueue(writer, new_holder(database, pid=50 + time), clock)
        wanted = wants(routes_of(database, job), most=2)
        claimed = await heir.claim(wanted, most_bytes=PLENTY, alone=time >= SUSPECT_AFTER)
        await heir.settle([released(each) for each in claimed.claims if each.custom_id != "r0"])
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


async def test_what_holders_died_with_is_claimed_after_what_none_did(database, ask, writer, clock):
    job = submit_rows(database, numbered(4))
    heir = SqlQueue(writer, new_holder(database), clock)
    await heir.claim(wants(routes_of(database, job), most=2), most_bytes=PLENTY)
    rescue(database)
    assert names((await ask(job, most=3)).claims) == ["r2", "r3", "r0"]


async def test_of_suspects_the_one_that_lost_the_fewest_goes_first(database, ask, writer, clock):
    job = submit_rows(database, numbered(2))
    for _ in range(SUSPECT_AFTER):
        heir = SqlQueue(writer, new_holder(database), clock)
        await heir.claim(wants(routes_of(database, job), most=2), most_bytes=PLENTY)
        rescue(database)
    heir = SqlQueue(writer, new_holder(database), clock)
    await heir.claim(wants(routes_of(database, job)), most_bytes=PLENTY, alone=True)
    rescue(database)
    assert {name: row["lost"] for name, row in stored(database).items()} == {"r0": 4, "r1": 3}
    assert names((await ask(job, alone=True)).claims) == ["r1"]


async def test_alone_claims_one_suspect_and_nothing_that_is_healthy(database, ask, writer, clock):
    job = submit_rows(database, numbered(3))
    for _ in range(SUSPECT_AFTER):
        heir = SqlQueue(writer, new_holder(database), clock)
        claimed = await heir.claim(wants(routes_of(database, job), most=3), most_bytes=PLENTY)
        await heir.settle([released(each) for each in claimed.claims if each.custom_id == "r2"])
        rescue(database)
    assert names((await ask(job, alone=True)).claims) == ["r0"]
    assert names((await ask(job, alone=True)).claims) == ["r1"]
    assert (await ask(job, alone=True)).claims == []
    assert names((await ask(job)).claims) == ["r2"]


async def test_a_route_can_be_asked_for_a_suspect_without_a_claim(database, ask, queue, writer, clock):
    job, empty = submit_rows(database, numbered(1)), submit_rows(database, rows_named("x"), name="empty")
    await lose(database, writer, clock, job, SUSPECT_AFTER)
    await queue.settle([completed(each) for each in (await ask(empty)).claims])
    nothing = [replace(want, most_bytes=0) for want in wants(routes_of(database, job, empty), most=1)]
    asked = await queue.claim(nothing, most_bytes=PLENTY, alone=True)
    due = dict(zip([route.id for route in routes_of(database, job, empty)], [clock.at, None], strict=True))
    assert (list(asked.claims), asked.next_due) == ([], due)
    (suspect,) = (await ask(job, alone=True)).claims
    await queue.settle([requeued(suspect, clock.at + SECOND)])
    asked = await queue.claim(nothing[:1], most_bytes=PLENTY, alone=True)
    assert (list(asked.claims), asked.next_due) == ([], {suspect.route_id: clock.at + SECOND})


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
    same_body = b'{"user": "r0"}'
    job = submit_rows(database, [*numbered(1), Row("f", same_body)])
    await lose(database, writer, clock, job, WORKER_LOST_AFTER)
    rows = stored(database)
    assert [(rows[name]["state"], rows[name]["failure_code"]) for name in ("r0", "f")] == [
        ("dead_lettered", "worker_lost"),
        ("dead_lettered", "worker_lost"),
    ]
    assert rows["r0"]["lost"] == WORKER_LOST_AFTER
    assert len(table(database, "attempts")) == WORKER_LOST_AFTER
