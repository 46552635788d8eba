"""How long jobs were worked on, and how much of them is out, as the store is told."""

import asyncio

import pytest

from batcher.domain.jobs import Job
from batcher.services.runs.run import RunControl
from batcher.simulate import SimulatedProvider
from batcher.worker.snapshot import decode
from batcher.worker.worker import End
from tests.support.providers import FakeProvider, chat, chats
from tests.support.stores import table
from tests.support.workers import Rig, now


def seconds_on(rig: Rig, job: Job) -> float:
    return rig.job(job).active_us / 1e6


@pytest.mark.parametrize("latency", [0.3, 0.9, 2.4])
async def test_the_time_worked_on_a_job_is_the_time_it_took_also_below_a_second(rig: Rig, latency: float):
    rig.provider = FakeProvider(SimulatedProvider(latency=latency, latency_sigma=0.0))
    began = now()
    assert await rig.run(job := rig.submit(chats(3))) is End.OVER
    assert seconds_on(rig, job) <= now() - began
    assert seconds_on(rig, job) == pytest.approx(latency, abs=0.1)


async def test_each_of_several_jobs_has_the_time_until_its_own_end(rig: Rig):
    quick, slow = rig.submit(chats(2), name="quick"), rig.submit([chat("z", simulate={"hang": 5.0})], name="slow")
    await rig.run(quick, slow)
    assert seconds_on(rig, quick) < 1.6
    assert seconds_on(rig, slow) == pytest.approx(5.5, abs=0.6)


async def test_a_run_that_is_interrupted_counts_until_its_end_and_the_next_one_adds(rig: Rig):
    job = rig.submit(chats(200))
    worker = rig.worker(concurrency=8)
    control = RunControl()
    control.attach(worker)
    running = asyncio.create_task(worker.run([job.id]))
    began = now()
    await asyncio.sleep(1.4)
    control.stop()
    await running
    first = seconds_on(rig, job)
    assert first == pytest.approx(now() - began, abs=0.1)
    began = now()
    await rig.run(job)
    assert seconds_on(rig, job) - first == pytest.approx(now() - began, abs=0.1)


async def test_the_runner_tells_how_many_requests_of_each_job_are_out(rig: Rig):
    hanging = {"hang": 9.0}
    one = rig.submit([chat(f"a{n}", simulate=hanging) for n in range(3)], name="one")
    two = rig.submit([chat(f"b{n}", simulate=hanging) for n in range(2)], name="two")
    running = asyncio.create_task(rig.worker(concurrency=8).run([one.id, two.id]))
    await asyncio.sleep(3.0)
    told = decode(table(rig.database, "holders")[-1]["snapshot"])
    assert told is not None
    assert dict(told.sending) == {one.id: 3, two.id: 2}
    await running
