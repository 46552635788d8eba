"""`run_jobs`: jobs run to their end by this process, or by the runner that is using this store already."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from batcher.budget.lanes import LaneBudgets
from batcher.domain.errors import ConfigError, StoreError, UnknownJob
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState, PauseReason
from batcher.ports import Sender, Store, Writer
from batcher.services.runs.run import Parts, RunControl, RunEnd, run_jobs
from batcher.simulate import SimulatedProvider
from batcher.store.jobs import jobs
from batcher.store.queue import runners
from batcher.store.queue.adapter import SqlQueue
from batcher.store.sqlite.file_locks import RunnerLock
from batcher.worker.worker import Worker
from tests.support.inline_validator import inline_validator
from tests.support.inline_writer import InlineWriter
from tests.support.providers import Arrived, FakeProvider, chat, chats
from tests.support.workers import BrokenWriter, Recorder, Rig, now


class House:
    """Several processes around one store, each a call of `run_jobs`; all send to one provider."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.handed_over: list[int | None] = []
        self.closed: list[str] = []
        self.writers: list[Any] = []
        self.make_writer: Any = InlineWriter

    def parts(self) -> Parts:
        return Parts(
            clock=self.rig.clock,
            queue=SqlQueue,
            runner=Worker,
            budget=lambda most: LaneBudgets(self.rig.clock, most_in_flight=most),
            writer=self._writer,
            sender=self._sender,
            simulator=self._simulator,
            validator=inline_validator,
            jitter=lambda: 0.5,
        )

    def _writer(self, database: Store) -> Writer:
        writer: Writer = self.make_writer(database)
        self.writers.append(writer)
        return writer

    def _sender(self, _: Job, base_url: str) -> AbstractAsyncContextManager[Sender]:
        return self._provider(base_url)

    @asynccontextmanager
    async def _provider(self, base_url: str) -> AsyncIterator[Sender]:
        if self.rig.provider.key == "":
            raise ConfigError("OPENAI_API_KEY is not set")
        await asyncio.sleep(0.01)
        yield self.rig.provider
        self.closed.append(base_url)

    @asynccontextmanager
    async def _simulator(self) -> AsyncIterator[str]:
        await asyncio.sleep(0.01)
        yield "http://127.0.0.1:1/v1"

    async def run(self, *of: Job, control: RunControl | None = None, events: Recorder | None = None) -> RunEnd:
        return await run_jobs(
            self.rig.database,
            [job.id for job in of],
            self.parts(),
            events=events or Recorder(),
            concurrency=8,
            control=control or RunControl(),
            handed_over=self.handed_over.append,
        )

    def is_worked(self) -> bool:
        lock = RunnerLock(self.rig.database.path)
        try:
            return lock.is_live()
        finally:
            lock.close()

    def live_holders(self) -> int:
        with self.rig.database.read() as connection:
            return 0 if runners.latest_runner(connection) is None else 1


@pytest.fixture
def house(rig: Rig) -> House:
    return House(rig)


async def test_a_job_is_run_to_its_end_and_the_runner_signs_off(rig: Rig, house: House):
    job = rig.submit(chats(30))
    assert await house.run(job) is RunEnd.OVER
    assert rig.states() == {"completed": 30}
    assert not house.is_worked()
    assert house.live_holders() == 0
    assert house.closed == [job.base_url]
    assert house.handed_over == []


async def test_jobs_of_one_endpoint_and_key_share_a_sender(rig: Rig, house: House):
    await house.run(rig.submit(chats(5), name="one"), rig.submit(chats(5, start=9), name="two"))
    assert len(house.closed) == 1


async def test_a_simulated_job_is_sent_to_the_simulator(rig: Rig, house: House):
    await house.run(rig.submit(chats(5), simulate=True))
    assert house.closed == ["http://127.0.0.1:1/v1"]
    assert rig.states() == {"completed": 5}


async def test_a_finished_job_is_over_at_once(rig: Rig, house: House):
    job = rig.submit(chats(5))
    await house.run(job)
    began = now()
    assert await house.run(job) is RunEnd.OVER
    assert now() - began < 1.0
    assert len(rig.provider.journal) == 5


async def test_a_store_that_fails_is_told_as_what_it_is(rig: Rig, house: House):
    house.make_writer = BrokenWriter
    running = asyncio.create_task(house.run(rig.submit(chats(100))))
    await asyncio.sleep(2.2)
    house.writers[0].fails = True
    with pytest.raises(StoreError, match="disk full"):
        async with asyncio.timeout(10.0):
            await running
    assert not house.is_worked()
    house.make_writer = InlineWriter
    assert await house.run(*open_jobs(rig)) is RunEnd.OVER
    assert rig.states() == {"completed": 100}
    assert {row["spent"] for row in rig.rows()} == {0}


async def test_a_store_that_fails_beside_a_bug_is_told_too(rig: Rig, house: House):
    house.make_writer = BrokenWriter
    job = rig.submit(chats(100))

    def script(seen: Arrived) -> None:
        if seen.at > 2.0:
            house.writers[0].fails = True
            raise RuntimeError("a bug")

    rig.provider.script = script
    with pytest.raises(StoreError, match="disk full") as raised:
        await house.run(job)
    assert isinstance(raised.value.__cause__, BaseExceptionGroup)


def open_jobs(rig: Rig) -> list[Job]:
    with rig.database.read() as connection:
        return jobs.unfinished(connection)


async def test_an_unknown_job_is_an_error_of_its_own_kind(rig: Rig, house: House):
    with pytest.raises(UnknownJob):
        await run_jobs(
            rig.database,
            [JobId(99)],
            house.parts(),
            events=Recorder(),
            concurrency=None,
            control=RunControl(),
            handed_over=house.handed_over.append,
        )


async def test_a_paused_job_is_resumed_with_one_request_and_another_to_be_sure(rig: Rig, house: House):
    rig.provider = FakeProvider(SimulatedProvider(api_key="good"), key="a bad key of some length")
    job = rig.submit(chats(40))
    assert await house.run(job) is RunEnd.OVER
    assert [pause.reason for pause in rig.pauses()] == [PauseReason.CREDENTIALS]
    before = len(rig.provider.journal)
    assert await house.run(job) is RunEnd.OVER
    assert len(rig.provider.journal) == before + 2
    rig.provider.key = "good"
    assert await house.run(job) is RunEnd.OVER
    assert rig.states() == {"completed": 40}
    assert rig.pauses() == []


async def test_a_job_without_a_key_pauses_and_says_so(rig: Rig, house: House):
    rig.provider.key = ""
    job = rig.submit(chats(3))
    assert await house.run(job) is RunEnd.OVER
    assert [pause.message for pause in rig.pauses()] == ["OPENAI_API_KEY is not set"]
    assert rig.job(job).state is JobState.OPEN
    rig.provider.key = "there"
    await house.run(job)
    assert rig.states() == {"completed": 3}


async def test_beside_a_live_runner_a_job_is_handed_over_and_waited_for(rig: Rig, house: House):
    first, second = rig.submit(chats(400), name="first"), rig.submit(chats(20, start=500), name="second")
    running = asyncio.create_task(house.run(first))
    await asyncio.sleep(2.0)
    assert await house.run(second) is RunEnd.OVER
    assert len(house.handed_over) == 1
    assert rig.job(second).state is JobState.COMPLETED
    assert await running is RunEnd.OVER
    assert len(house.closed) == 1
    assert rig.states() == {"completed": 420}
    assert set(rig.provider.counts().values()) == {1}


async def test_a_watcher_takes_over_from_a_runner_that_ends(rig: Rig, house: House):
    first, second = rig.submit(chats(200), name="first"), rig.submit(chats(200, start=500), name="second")
    control = RunControl()
    running = asyncio.create_task(house.run(first, control=control))
    await asyncio.sleep(2.0)
    watching = asyncio.create_task(house.run(second))
    await asyncio.sleep(2.0)
    control.drain(None)
    assert await running is RunEnd.INTERRUPTED
    assert await watching is RunEnd.OVER
    assert rig.states(second) == {"completed": 200}
    assert rig.states(first)["pending"] > 0
    assert set(rig.provider.counts().values()) == {1}


async def test_of_two_watchers_one_takes_over_and_works_the_others_job_too(rig: Rig, house: House):
    first, *others = (rig.submit(chats(100, start=500 * n), name=f"job {n}") for n in range(3))
    control = RunControl()
    running = asyncio.create_task(house.run(first, control=control))
    await asyncio.sleep(1.0)
    watching = [asyncio.create_task(house.run(job)) for job in others]
    await asyncio.sleep(1.0)
    control.drain(None)
    await running
    ended = [await each for each in watching]
    assert ended == [RunEnd.OVER, RunEnd.OVER]
    for job in others:
        assert rig.states(job) == {"completed": 100}


async def test_a_watcher_that_is_interrupted_leaves_the_runner_alone(rig: Rig, house: House):
    first, second = rig.submit(chats(200), name="first"), rig.submit(chats(60, start=500), name="second")
    running = asyncio.create_task(house.run(first))
    await asyncio.sleep(1.0)
    control = RunControl()
    watching = asyncio.create_task(house.run(second, control=control))
    await asyncio.sleep(1.0)
    control.drain(None)
    assert await watching is RunEnd.INTERRUPTED
    assert await running is RunEnd.OVER
    assert rig.states(first) == {"completed": 200}
    # What the runner had not finished of the other job is pending, and nothing of it is lost or sent twice.
    await house.run(*open_jobs(rig))
    assert rig.states() == {"completed": 260}
    assert set(rig.provider.counts().values()) == {1}


async def test_a_run_ends_with_its_own_job_and_the_one_that_waits_takes_over(rig: Rig, house: House):
    first, second = rig.submit(chats(40), name="first"), rig.submit(chats(400, start=500), name="second")
    running = asyncio.create_task(house.run(first))
    await asyncio.sleep(0.5)
    watching = asyncio.create_task(house.run(second))
    assert await running is RunEnd.OVER
    assert rig.job(first).state is JobState.COMPLETED
    assert rig.states(second)["completed"] < 400
    assert await watching is RunEnd.OVER
    assert rig.states() == {"completed": 440}
    assert len(house.closed) == 2
    assert set(rig.provider.counts().values()) == {1}


async def test_a_paused_job_ends_its_run_while_a_job_of_others_goes_on(rig: Rig, house: House):
    unknown = {"code": "model_not_found"}
    first = rig.submit([chat(f"row {number}", model="x", simulate=unknown) for number in range(30)], name="first")
    second = rig.submit(chats(400, start=500), name="second")
    running = asyncio.create_task(house.run(first))
    await asyncio.sleep(0.1)
    watching = asyncio.create_task(house.run(second))
    assert await running is RunEnd.OVER
    assert rig.states(first) == {"pending": 30}
    assert rig.states(second)["completed"] < 400
    assert await watching is RunEnd.OVER
    assert rig.states(second) == {"completed": 400}


async def test_what_a_job_of_others_has_in_flight_may_finish_but_not_hold_up_the_run(rig: Rig, house: House):
    """A server that never answers the other job must not keep this run, and its rows must not be lost."""
    first = rig.submit(chats(60), name="first")
    second = rig.submit([chat(f"{number}", simulate={"hang": 500}) for number in range(3)], name="second")
    running = asyncio.create_task(house.run(first))
    await asyncio.sleep(0.5)
    control = RunControl()
    watching = asyncio.create_task(house.run(second, control=control))
    began = now()
    assert await running is RunEnd.OVER
    assert now() - began < 30
    control.stop()
    await watching
    assert rig.states(second) == {"pending": 3}
    assert {row["spent"] for row in rig.rows(second)} == {0}


@pytest.mark.parametrize("way", ["drain", "stop"])
async def test_a_run_that_is_interrupted_before_it_began_sends_nothing(rig: Rig, house: House, way: str):
    job, control = rig.submit(chats(10)), RunControl()
    if way == "drain":
        control.drain(None)
    else:
        control.stop()
    assert await house.run(job, control=control) is RunEnd.INTERRUPTED
    assert rig.provider.journal == []
    assert rig.states() == {"pending": 10}


async def test_a_run_that_is_cancelled_leaves_nothing_claimed_and_no_lock(rig: Rig, house: House):
    running = asyncio.create_task(house.run(rig.submit(chats(100))))
    await asyncio.sleep(2.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert rig.states()["claimed"] == 0
    assert not house.is_worked()
