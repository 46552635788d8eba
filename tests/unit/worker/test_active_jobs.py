"""Jobs come and go while the worker runs, as people say through the store."""

import asyncio

from batcher.domain.events import JobFinished
from batcher.domain.states import JobState
from batcher.store.dead_letters import redrive
from batcher.store.jobs import jobs
from batcher.worker.worker import End
from tests.support.providers import chat, chats
from tests.support.virtual_time import EPOCH_US
from tests.support.workers import Rig, SlowWriter, now


async def test_a_cancelled_job_sends_nothing_new_and_the_worker_ends(rig: Rig):
    job = rig.submit(chats(300))
    running = asyncio.create_task(rig.run(job, concurrency=8))
    await asyncio.sleep(3.2)
    with rig.database.write() as connection:
        jobs.cancel(connection, rig.job(job), now=rig.clock.now())
    cancelled_at = now()
    assert await running is End.OVER
    assert now() <= cancelled_at + 4.0
    # Learnt with the next beat; what was on its way then has ended.
    assert max(seen.at for seen in rig.provider.journal) <= cancelled_at + 1.01
    states = rig.states()
    assert states["completed"] == len(rig.provider.journal)
    assert states["completed"] + states["cancelled"] == 300
    assert rig.events.of(JobFinished) == []


async def test_a_job_handed_over_is_taken_up_within_a_second_or_two(rig: Rig):
    first = rig.submit(chats(300), name="first")
    running = asyncio.create_task(rig.run(first, concurrency=4))
    await asyncio.sleep(5.3)
    second = rig.submit(chats(10, start=1000), name="second")
    handed_at = now()
    assert await running is End.OVER
    taken_up = rig.job(second).started_at
    assert taken_up is not None
    assert (taken_up - EPOCH_US) / 1e6 <= handed_at + 1.01
    # Behind what was claimed before it.
    assert rig.provider.times("row 1000")[0] <= handed_at + 4.0
    assert rig.states() == {"completed": 310}
    assert rig.job(second).state is JobState.COMPLETED


async def test_a_job_handed_over_at_the_very_end_is_left_whole_to_the_process_that_waits(rig: Rig):
    first = rig.submit(chats(4), name="first")
    handed: list[object] = []

    def hand_over(event: object) -> None:
        if isinstance(event, JobFinished) and not handed:
            handed.append(rig.submit(chats(5, start=100), name="second"))

    rig.events.emit = hand_over  # type: ignore[method-assign]  # a person is quick
    assert await rig.run(first) is End.OVER
    states = rig.states()
    assert (states["claimed"], states["completed"] + states["pending"]) == (0, 9)


async def test_jobs_taken_up_while_the_disk_is_slow_get_one_gate_a_lane(rig: Rig):
    """The end of the run and the beat look for orders at once: a job is taken up once, and each row sent once."""
    first = rig.submit(chats(3), name="first")
    worker = rig.worker(writer=SlowWriter(rig.database, 0.3))
    running = asyncio.create_task(worker.run([first.id]))
    for number in range(6):
        await asyncio.sleep(0.7)
        rig.submit(chats(6, start=1000 + 100 * number, model=f"model {number}"), name=f"later {number}")
    assert await running is End.OVER
    while rig.states()["pending"]:
        await rig.run(*[rig.job(job) for job in open_jobs(rig)])
    assert set(rig.provider.counts().values()) == {1}
    assert len(worker.state.lanes) == len({lane.key for lane in worker.state.lanes.values()})


def open_jobs(rig: Rig):
    with rig.database.read() as connection:
        return jobs.unfinished(connection)


async def test_a_job_deleted_beside_its_runner_ends_it_quietly(rig: Rig):
    job, other = rig.submit(chats(200), name="doomed"), rig.submit(chats(60, start=500), name="other")
    running = asyncio.create_task(rig.run(job, other, concurrency=8))
    await asyncio.sleep(3.2)
    with rig.database.write() as connection:
        jobs.cancel(connection, rig.job(job), now=rig.clock.now())
        while jobs.delete_some(connection, job):
            pass
    assert await running is End.OVER
    assert rig.states(other) == {"completed": 60}


async def test_a_dropped_job_that_is_wanted_again_goes_on(rig: Rig):
    job, other = rig.submit(chats(100), name="job"), rig.submit(chats(100, start=500), name="other")
    running = asyncio.create_task(rig.run(job, other, concurrency=4))
    for wanted in (0, 1, 0, 1):
        await asyncio.sleep(1.3)
        with rig.database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET wanted = ? WHERE id = ?", (wanted, job.id))
    await running
    assert rig.states() == {"completed": 200}
    assert set(rig.provider.counts().values()) == {1}


async def test_dead_letters_put_back_beside_the_runner_are_sent_again(rig: Rig):
    bodies = [chat("flaky", simulate={"fail_times": 1, "status": 400}), *chats(100)]
    job = rig.submit(bodies)
    running = asyncio.create_task(rig.run(job, concurrency=4))
    await asyncio.sleep(3.0)
    (dead,) = (row["id"] for row in rig.rows() if row["state"] == "dead_lettered")
    with rig.database.write() as connection:
        redrive.put_back(connection, [dead])
    await running
    assert rig.states() == {"completed": 101}


async def test_jobs_of_one_lane_take_turns(rig: Rig):
    first, second = rig.submit(chats(100), name="first"), rig.submit(chats(100, start=500), name="second")
    await rig.run(first, second, concurrency=4)
    half = rig.provider.journal[:100]
    of_second = sum(int(seen.text.split()[1]) >= 500 for seen in half)
    assert 35 <= of_second <= 65
