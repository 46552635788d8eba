"""What a command's jobs look like while the runner is this process, beside jobs that others handed over."""

import asyncio
from dataclasses import dataclass, field

from batcher.domain.events import Event
from batcher.domain.jobs import Job
from batcher.services.monitor.run_monitor import RunMonitor
from batcher.services.monitor.totals import totals_of
from batcher.services.runs.run import RunControl
from batcher.simulate import SimulatedProvider
from tests.support.providers import FakeProvider, chat, chats
from tests.support.workers import Recorder, Rig
from tests.unit.services.runs.test_run import House


@dataclass
class Watched(Recorder):
    """Events that several monitors are told, too."""

    monitors: list[RunMonitor] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        super().emit(event)
        for monitor in self.monitors:
            monitor.emit(event)


class Run:
    """A run of `job` by this process, and what monitors of some jobs see of it."""

    def __init__(self, rig: Rig, job: Job) -> None:
        self.rig, self.job = rig, job
        self.control = RunControl()
        self.events = Watched()

    def watch(self, job: Job) -> RunMonitor:
        monitor = RunMonitor(self.rig.database, [job], self.rig.clock, runner=lambda: self.control.runner)
        self.events.monitors.append(monitor)
        return monitor

    def start(self) -> asyncio.Task[object]:
        return asyncio.create_task(House(self.rig).run(self.job, control=self.control, events=self.events))


def slow(latency: float = 0.5) -> FakeProvider:
    return FakeProvider(SimulatedProvider(latency=latency, latency_sigma=0.0))


async def test_the_view_of_a_run_that_ends_is_what_the_store_counts(rig: Rig):
    rows = [*chats(30), *(chat(f"bad {n}", simulate={"status": 400}) for n in range(2)), *chats(3)]
    run = Run(rig, job := rig.submit(rows))
    monitor = run.watch(job)
    await run.start()
    view, totals = monitor.view(), totals_of(rig.database, [job.id])
    assert (view.total, view.ended, view.seconds_left) == (35, 35, None)
    assert (view.answered, view.dead_letters, view.cached) == (33, 2, 3)
    assert (view.answered, view.dead_letters, view.cached) == (
        totals.completed,
        totals.dead_lettered,
        totals.cached,
    )


async def test_the_view_of_a_run_at_work_has_what_is_in_flight_the_lanes_and_the_time_left(rig: Rig):
    rig.provider = slow()
    run = Run(rig, job := rig.submit(chats(400)))
    monitor = run.watch(job)
    running = run.start()
    for _ in range(20):
        await asyncio.sleep(0.25)
        view = monitor.view()
    assert view.in_flight == rig.provider.in_flight == 8
    assert [lane.key.model for lane in view.lanes] == ["m"]
    assert view.requests_per_minute > 500
    assert view.tokens_per_minute > view.requests_per_minute
    rest = (view.total - view.ended) / (view.requests_per_minute / 60)
    assert view.seconds_left is not None
    assert 0.7 * rest < view.seconds_left < 1.4 * rest
    await running


async def test_jobs_that_others_handed_over_are_no_part_of_the_view(rig: Rig):
    rig.provider = slow()
    mine = rig.submit(chats(100), name="mine")
    told_to_wait = {"refuse_times": 1, "retry_after": 9}
    theirs = rig.submit([chat("x", model="theirs", simulate=told_to_wait)], name="theirs")
    run = Run(rig, mine)
    of_mine, of_theirs = run.watch(mine), run.watch(theirs)
    running = run.start()
    await asyncio.sleep(0.2)
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET wanted = 1")
    await asyncio.sleep(3.0)
    seen, other = of_mine.view(), of_theirs.view()
    assert [lane.key.model for lane in seen.lanes] == ["m"]
    assert seen.cooling is None
    assert [lane.key.model for lane in other.lanes] == ["theirs"]
    assert other.cooling is not None
    assert (other.answered, other.total) == (0, 1)
    await running
    assert of_mine.view().answered == 100


async def test_a_drain_is_shown_at_once_with_the_time_since_it_began(rig: Rig):
    rig.provider = slow(4.0)
    run = Run(rig, job := rig.submit(chats(20)))
    monitor = run.watch(job)
    running = run.start()
    await asyncio.sleep(1.0)
    assert monitor.view().drain is None
    run.control.drain(25.0)
    await asyncio.sleep(2.0)
    assert monitor.is_urgent.is_set()
    view = monitor.view()
    assert view.drain is not None
    assert (view.drain.deadline, round(view.draining_seconds)) == (25.0, 2)
    await running
