"""How long jobs were worked on, and how much of them is out, as the store is told."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from batcher.budget.lanes import LaneBudgets
from batcher.domain.jobs import Job, RunnerSnapshot
from batcher.domain.lanes import LaneKey
from batcher.services.runs.run import RunControl
from batcher.simulate import SimulatedProvider
from batcher.store.queue import runners
from batcher.store.queue.adapter import SqlQueue
from batcher.worker.worker import End
from tests.support.providers import FakeProvider, chat, chats
from tests.support.stores import table
from tests.support.workers import BesideWriter, Rig, now


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
    with rig.database.read() as connection:
        runner = runners.latest_runner(connection)
    assert runner is not None
    assert runner.snapshot is not None
    assert dict(runner.snapshot.sending) == {one.id: 3, two.id: 2}
    await running


def written_views(rig: Rig) -> dict[str, str]:
    """The lanes as a runner shows them, by id."""
    return {row["lane_id"]: row["view"] for row in table(rig.database, "lane_views")}


async def test_a_beat_writes_only_the_lanes_that_have_changed(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    beats: list[int] = []
    beat = SqlQueue.beat

    async def counted(queue: SqlQueue, snapshot: RunnerSnapshot, views: Any) -> Any:
        beats.append(len(views))
        return await beat(queue, snapshot, views)

    monkeypatch.setattr(SqlQueue, "beat", counted)
    told_to_wait = {"refuse_times": 1, "retry_after": 50}
    job = rig.submit([chat(f"row {n}", model=f"m{n}", simulate=told_to_wait) for n in range(100)])
    running = asyncio.create_task(rig.worker().run([job.id]))
    await asyncio.sleep(8.0)
    assert sum(beats) >= 100
    shown = written_views(rig)
    assert len(shown) == 100
    beats.clear()
    await asyncio.sleep(30.0)
    assert len(beats) >= 29
    assert sum(beats) <= 100, "once more each at most, as what they have used fades"
    await running
    assert rig.states() == {"completed": 100}


async def test_lanes_at_rest_cost_a_bounded_number_of_looks_and_claims(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    view = LaneBudgets.view

    def counted(budgets: LaneBudgets, lane: LaneKey) -> Any:
        looks.append(1)
        return view(budgets, lane)

    monkeypatch.setattr(LaneBudgets, "view", counted)
    asked: list[int] = []
    claim = SqlQueue.claim

    def claimed(queue: SqlQueue, wants: Any, **named: Any) -> Any:
        asked.append(len(wants))
        return claim(queue, wants, **named)

    monkeypatch.setattr(SqlQueue, "claim", claimed)
    told_to_wait = {"refuse_times": 1, "retry_after": 100}
    job = rig.submit([chat(f"row {n}", model=f"m{n}", simulate=told_to_wait) for n in range(400)])
    running = asyncio.create_task(rig.worker().run([job.id]))
    await asyncio.sleep(20.0)
    looks.clear()
    asked.clear()
    await asyncio.sleep(60.0)
    assert sum(looks) <= 60 * 33, "a share of them with each beat"
    assert sum(asked) <= 60 * 110, "100 routes a second"
    assert await running is End.OVER
    assert rig.states() == {"completed": 400}


async def test_what_another_process_puts_back_is_noticed_at_once_however_many_routes_there_are(rig: Rig):
    told_to_wait = {"refuse_times": 1, "retry_after": 50}
    rows = [chat("dead", model="dies", simulate={"status": 400})]
    rows += [chat(f"row {n}", model=f"m{n}", simulate=told_to_wait) for n in range(600)]
    job = rig.submit(rows)
    running = asyncio.create_task(rig.worker().run([job.id]))
    await asyncio.sleep(20.0)
    assert rig.states()["dead_lettered"] == 1
    with closing(sqlite3.connect(rig.database.path)) as other, other:
        other.execute(
            "UPDATE requests SET state = 'pending', failure_kind = NULL, failure_code = NULL, settled_at = NULL"
            " WHERE state = 'dead_lettered'"
        )
    await asyncio.sleep(2.5)
    assert [row["sends"] for row in rig.rows() if row["id"] == 1] == [2]
    await running


async def test_nothing_of_a_finished_job_stays_with_a_runner_that_goes_on(rig: Rig):
    keeps_running = rig.submit([chat("slow", simulate={"hang": 300.0})], name="slow")
    first = rig.submit([chat(f"a {n}", model=f"a{n}") for n in range(5)], name="first")
    worker = rig.worker()
    running = asyncio.create_task(worker.run([keeps_running.id, first.id]))
    await asyncio.sleep(60.0)
    assert len(worker.state.lanes) == 6, "another job may use them at once"
    await asyncio.sleep(60.0)
    state = worker.state
    assert ({*state.jobs}, len(state.routes), len(state.lanes)) == ({keeps_running.id}, 1, 1)
    budgets = worker._budget
    assert isinstance(budgets, LaneBudgets)
    assert len(budgets._lanes) == 1
    second = rig.submit([chat(f"b {n}", model=f"a{n}") for n in range(5)], name="second")
    await asyncio.sleep(10.0)
    assert rig.states(second) == {"completed": 5}
    assert await running is End.OVER


async def test_a_beat_on_a_slow_disk_does_not_take_longer_the_more_lanes_are_at_work(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    """What people ask for, such as the end of a job, is read with it."""
    beats: list[float] = []
    beat = SqlQueue.beat

    async def noted(queue: SqlQueue, snapshot: RunnerSnapshot, views: Any) -> Any:
        beats.append(now())
        return await beat(queue, snapshot, views)

    monkeypatch.setattr(SqlQueue, "beat", noted)
    rig.provider = FakeProvider(SimulatedProvider(latency=0.3))
    job = rig.submit([chat(f"row {n}", model=f"m{n % 100}") for n in range(3000)])
    running = asyncio.create_task(rig.worker(writer=BesideWriter(rig.database, 0.2)).run([job.id]))
    await asyncio.sleep(12.0)
    assert len(beats) >= 5
    await running
    assert rig.states() == {"completed": 3000}
