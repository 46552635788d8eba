"""The contract of every Queue for jobs, pauses and lanes."""

import pytest
from sqlalchemy import text

from batcher.domain.errors import UnknownJob
from batcher.domain.jobs import key_ref
from batcher.domain.lanes import Charging, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.domain.messages import Cause
from batcher.domain.outcomes import PauseCause
from batcher.domain.states import ChargeRule, JobState, PauseReason, PauseScope
from batcher.store.jobs import jobs
from batcher.store.queue import pauses, runners
from tests.support.messages import words
from tests.support.stores import (
    LANE,
    NOTHING_IN_HAND,
    SECOND,
    START,
    Row,
    begin_job,
    cancel,
    change,
    completed,
    dead_lettered,
    job_now,
    requeued,
    rows_named,
    submit_rows,
    table,
)


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


async def test_a_heartbeat_returns_the_jobs_that_people_want(database, queue, clock):
    one = submit_rows(database, rows_named("a"), name="one")
    two = submit_rows(database, rows_named("b"), name="two")
    begin_job(database, name="loading")
    clock.at = START + SECOND
    assert (await queue.beat(NOTHING_IN_HAND, {})).jobs == {one.id: 1, two.id: 1}
    with database.read() as connection:
        runner = runners.latest_runner(connection)
    assert runner is not None
    assert (runner.heartbeat_at, runner.snapshot) == (START + SECOND, NOTHING_IN_HAND)
    cancel(database, one)
    with database.write() as connection:
        jobs.remember(connection, two.id, settings=two.settings)
    assert (await queue.beat(NOTHING_IN_HAND, {})).jobs == {two.id: 2}


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
    await queue.settle([completed(a), dead_lettered(b)])
    assert list(await queue.finish([job.id])) == [job.id]
    after = job_now(database, job)
    assert (after.state, after.finished_at, after.wanted) == (JobState.COMPLETED, START, True)
    assert list(await queue.finish([job.id])) == []


async def test_a_job_without_a_row_is_finished(database, queue):
    job = submit_rows(database, [])
    assert list(await queue.finish([job.id])) == [job.id]


async def test_a_cancelled_job_is_not_finished_a_second_time(database, queue):
    job = submit_rows(database, rows_named("a"))
    cancel(database, job)
    assert list(await queue.finish([job.id])) == []
    assert job_now(database, job).state is JobState.CANCELLED


async def test_time_worked_adds_up(database, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.add_active([job.id], 5)
    await queue.add_active([job.id], 7)
    assert job_now(database, job).active_us == 12


CAUSE = PauseCause(
    scope=PauseScope.KEY,
    reason=PauseReason.CREDENTIALS,
    message="the key is refused",
    fix=Cause.KEY_REFUSED(place=""),
)


async def test_a_pause_stays_in_force_in_its_first_words_until_a_person_ends_it(database, queue, clock):
    job = submit_rows(database, rows_named("a"))
    ref = key_ref(job.endpoint_id, job.key_name)
    await queue.pause(CAUSE, ref)
    clock.at += SECOND
    await queue.pause(
        PauseCause(scope=CAUSE.scope, reason=CAUSE.reason, message="again", fix=Cause.CANNOT_SEND()), ref
    )
    with database.read() as connection:
        (pause,) = pauses.in_force(connection)
    assert (pause.message, pause.since, pause.reason) == ("the key is refused", START, "credentials")
    assert pause.fix == CAUSE.fix
    with database.write() as connection:
        ended = pauses.end_for(
            connection,
            endpoint_id=job.endpoint_id,
            key_name=job.key_name,
            lane_ids=[LANE],
            route_ids=[],
            job_id=job.id,
            now=clock.at,
        )
        assert ended == 1
        assert pauses.in_force(connection) == []


async def test_the_fix_of_a_pause_that_an_earlier_version_stored_names_the_job_that_waits(database, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.pause(CAUSE, key_ref(job.endpoint_id, job.key_name))
    old = "add credit in the provider's console, then run `batcher resume`"
    change(database, "UPDATE pauses SET fix = :old", old=old)
    with database.read() as connection:
        (pause,) = pauses.in_force(connection)
    assert words(pause.fix, job=job.id) == "add credit in the provider's console, then run `batcher resume 1`"


async def test_a_pause_may_begin_again_after_it_ended(database, queue):
    job = submit_rows(database, rows_named("a"))
    ref = key_ref(job.endpoint_id, job.key_name)
    await queue.pause(CAUSE, ref)
    with database.write() as connection:
        connection.execute(text("UPDATE pauses SET ended_at = 1"))
    await queue.pause(CAUSE, ref)
    with database.read() as connection:
        assert len(pauses.in_force(connection)) == 1


async def test_resuming_a_job_ends_no_pause_of_another(database, queue):
    job = submit_rows(database, rows_named("a"))
    await queue.pause(CAUSE, key_ref(job.endpoint_id, "ANOTHER_KEY"))
    with database.write() as connection:
        ended = pauses.end_for(
            connection,
            endpoint_id=job.endpoint_id,
            key_name=job.key_name,
            lane_ids=[],
            route_ids=[],
            job_id=job.id,
            now=START,
        )
    assert ended == 0


async def test_a_lane_is_remembered(queue, database):
    job = submit_rows(database, rows_named("a"))
    key = LaneKey(endpoint_id=job.endpoint_id, key_name="K", model="new")
    lane = await queue.open_lane(key)
    assert lane == StoredLane(id=lane.id, key=key, memory=LaneMemory(), cooling_until=None)
    memory = LaneMemory(
        limits=KnownLimits(rpm=60.0, learned_rpm=30.0),
        charging=Charging(rule=ChargeRule.MAX, scale=1.5, output=7.0),
        level=4.5,
    )
    learned = StoredLane(id=lane.id, key=key, memory=memory, cooling_until=START + SECOND)
    await queue.save_lane(learned)
    assert await queue.open_lane(key) == learned


async def test_what_another_version_wrote_about_a_lane_is_taken_as_not_known(queue, database):
    job = submit_rows(database, rows_named("a"))
    key = LaneKey(endpoint_id=job.endpoint_id, key_name="K", model="new")
    lane = await queue.open_lane(key)
    with database.write() as connection:
        connection.execute(text("UPDATE lanes SET limits = '[]', charge = 'sum'"))
    assert await queue.open_lane(key) == lane
