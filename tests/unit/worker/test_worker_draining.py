"""A runner that is told to end sends nothing new and leaves nothing claimed; the next one finishes the job."""

import asyncio

import pytest

from batcher.domain.events import DrainStarted
from batcher.domain.settings import Limits
from batcher.simulate import SimulatedProvider
from batcher.worker.worker import End
from tests.support.providers import FakeProvider, chat, chats
from tests.support.workers import DyingWriter, Rig, SlowWriter, now


async def started(rig: Rig, *, count: int = 200, hang: float = 0.0, seconds: float = 3.1, concurrency: int = 8):
    """A job that has run for a while, its worker, and the task that runs it."""
    rows = [chat(f"row {number}", simulate={"hang": hang}) for number in range(count)] if hang else chats(count)
    job = rig.submit(rows)
    worker = rig.worker(concurrency=concurrency)
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(seconds)
    return job, worker, running


async def finish(rig: Rig, job, count: int) -> None:
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": count}
    assert {row["lost"] for row in rig.rows()} == {0}


async def test_a_drain_lets_what_is_in_flight_end_and_gives_the_rest_back(rig: Rig):
    job, worker, running = await started(rig)
    in_flight, sent = rig.provider.in_flight, len(rig.provider.journal)
    assert in_flight == 8
    worker.drain(None)
    assert await running is End.DRAINED
    assert len(rig.provider.journal) == sent
    assert rig.states() == {"completed": sent, "pending": 200 - sent}
    assert {row["sends"] for row in rig.rows() if row["state"] == "pending"} == {0}
    assert [(event.in_flight, event.deadline) for event in rig.events.of(DrainStarted)] == [(8, None)]
    await finish(rig, job, 200)
    assert set(rig.provider.counts().values()) == {1}


async def test_at_the_deadline_what_is_in_flight_goes_back_unspent(rig: Rig):
    job, worker, running = await started(rig, count=20, hang=100, concurrency=5)
    begun = now()
    worker.drain(25.0)
    await running
    assert now() == pytest.approx(begun + 25.0, abs=0.1)
    assert rig.states() == {"pending": 20}
    assert {row["spent"] for row in rig.rows()} == {0}
    assert [attempt["code"] for attempt in rig.attempts()] == ["shutdown"] * 5
    await finish(rig, job, 20)


@pytest.mark.parametrize("first_drains", [True, False])
async def test_a_stop_waits_for_nothing(rig: Rig, first_drains: bool):
    job, worker, running = await started(rig, count=20, hang=100, concurrency=5)
    if first_drains:
        worker.drain(None)
        await asyncio.sleep(1.0)
    begun = now()
    worker.stop()
    assert await running is End.DRAINED
    assert now() - begun < 0.1
    assert rig.states() == {"pending": 20}
    assert {(row["spent"], row["holder_id"]) for row in rig.rows()} == {(0, None)}
    await finish(rig, job, 20)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.3, 0.52, 0.7])
@pytest.mark.parametrize("way", ["drain", "stop", "cancel"])
async def test_ended_at_any_moment_it_leaves_nothing_claimed(rig: Rig, way: str, seconds: float):
    """Also while a claim or a commit is on its way to a slow disk."""
    job = rig.submit(chats(100))
    worker = rig.worker(concurrency=8, writer=SlowWriter(rig.database, 0.04))
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(seconds)
    match way:
        case "drain":
            worker.drain(10.0)
        case "stop":
            worker.stop()
        case _:
            running.cancel()
    if way == "cancel":
        with pytest.raises(asyncio.CancelledError):
            await running
    else:
        assert await running is End.DRAINED
    states = rig.states()
    assert states["claimed"] == 0
    assert states["completed"] + states["pending"] == 100
    await finish(rig, job, 100)


async def test_a_run_that_is_cancelled_keeps_what_came_back(rig: Rig):
    job, _, running = await started(rig, seconds=3.6)
    back = len(rig.provider.answered)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.states()["completed"] >= back
    assert rig.states()["claimed"] == 0
    await finish(rig, job, 200)


async def test_a_drain_during_a_long_cool_down_does_not_wait_for_it(rig: Rig):
    job = rig.submit([chat("refused", simulate={"refuse_times": 1, "retry_after": 900}), *chats(50)])
    worker = rig.worker(concurrency=4)
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(5.0)
    worker.drain(None)
    await running
    assert now() < 5.2
    assert rig.states()["claimed"] == 0


async def test_a_drain_in_the_middle_of_a_slow_rate_gives_the_waiting_request_back(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.1, rpm=6.0))
    job = rig.submit(chats(30), limits=Limits(rpm=6.0))
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(15.0)
    worker.drain(None)
    await running
    assert now() < 15.2
    sent = len(rig.provider.journal)
    assert sent == 1
    assert rig.states() == {"completed": sent, "pending": 30 - sent}


async def test_a_drain_before_anything_was_claimed_ends_at_once(rig: Rig):
    job = rig.submit(chats(5))
    worker = rig.worker()
    worker.drain(None)
    assert await worker.run([job.id]) is End.DRAINED
    assert rig.provider.journal == []
    assert rig.states() == {"pending": 5}


@pytest.mark.parametrize("seconds", [0.6, 4.3, 4.96])
async def test_a_killed_runner_costs_at_most_what_was_in_flight(rig: Rig, seconds: float):
    """Its disk takes nothing more from one moment on, and the runner is gone: the next one goes on."""
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.4))
    job = rig.submit(chats(300))
    killed = []
    for _ in range(2):
        writer = DyingWriter(rig.database, 0.02)
        running = asyncio.create_task(rig.worker(concurrency=8, writer=writer).run([job.id]))
        await asyncio.sleep(seconds)
        writer.die()
        running.cancel()
        await asyncio.sleep(1.0)
        assert not running.done()
        killed.append((writer, running))
    assert await rig.run(job, concurrency=8) is End.OVER
    assert rig.states() == {"completed": 300}
    repeats = sum(rig.provider.counts().values()) - 300
    assert 0 < repeats <= 2 * 2 * 8
    assert max(row["lost"] for row in rig.rows()) <= 2
    assert {row["spent"] for row in rig.rows()} == {0}
    for writer, running in killed:
        writer.reject()
        await asyncio.wait({running})
        assert running.cancelled() or running.exception() is not None
