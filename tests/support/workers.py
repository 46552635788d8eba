"""A worker over a real store and a simulated provider, in virtual time."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from batcher.budget.lanes import LaneBudgets
from batcher.domain.errors import StoreError
from batcher.domain.events import Event, RequestsSettled
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job, Pause
from batcher.domain.requests import Line, ParsedLine
from batcher.policy.input.deduplication import fingerprint
from batcher.policy.input.line_parser import parse_line
from batcher.ports import InFlightLog, OutputValidator, Sender, Writer
from batcher.store.jobs import jobs, loading
from batcher.store.queue import pauses, runners
from batcher.store.queue.adapter import SqlQueue
from batcher.store.sqlite.database import Database
from batcher.worker.worker import End, Worker
from tests.support import stores
from tests.support.inline_validator import InlineValidator
from tests.support.inline_writer import InlineWriter
from tests.support.providers import FakeProvider
from tests.support.virtual_time import VirtualClock

T = TypeVar("T")
#: No jitter, so that times in tests are exact.
_NO_JITTER = 0.0


def now() -> float:
    """Loop seconds."""
    return asyncio.get_running_loop().time()


@dataclass
class Recorder:
    """`ports.Events` that keeps what it is told. While `gate` is not set, listeners can take no more."""

    told: list[Event] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def emit(self, event: Event) -> None:
        self.told.append(event)

    def is_behind(self, job_id: JobId) -> bool:
        return self.gate is not None and not self.gate.is_set()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.told if isinstance(event, kind)]

    def settled(self) -> Counter[int]:
        """How often each request was said to be at its end."""
        ends = self.of(RequestsSettled)
        return Counter(row for end in ends for row in (*end.completed, *end.dead_lettered))


class SlowWriter:
    """A disk that takes so many seconds for every commit, one after another."""

    pipeline_depth = 1

    def __init__(self, database: Database, seconds: float) -> None:
        self._inline = InlineWriter(database)
        self._seconds = seconds
        self._free_at = 0.0

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time()) + self._seconds
        done: asyncio.Future[T] = loop.create_future()
        loop.call_at(self._free_at, self._commit, work, done)
        return done

    def _commit(self, work: Callable[[Connection], T], done: asyncio.Future[T]) -> None:
        """A commit that nobody waits for any more is on disk all the same."""
        result = self._inline.write(work)
        assert isinstance(result, asyncio.Future)
        error = result.exception()
        if done.cancelled():
            return
        if error is None:
            done.set_result(result.result())
        else:
            done.set_exception(error)

    def close(self) -> None:
        """Nothing to do."""


class BesideWriter(SlowWriter):
    """A slow disk as `StoreThread` works it: the next is written while so many seconds are spent flushing."""

    pipeline_depth = 4
    #: From now on every write does.
    fails = False

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        if self.fails:
            done.set_exception(StoreError("the store failed: disk full", hint="free some space"))
            return done
        loop.call_later(self._seconds, self._commit, work, done)
        return done


class DyingWriter(SlowWriter):
    """A disk that from `die` on takes nothing and tells nothing: so a killed process leaves its store."""

    def __init__(self, database: Database, seconds: float) -> None:
        super().__init__(database, seconds)
        self._is_dead = self._is_buried = False
        self._hanging: list[asyncio.Future[Any]] = []

    def die(self) -> None:
        self._is_dead = True

    def reject(self) -> None:
        """Let go of whoever still waits, so that their tasks can end."""
        self._is_buried = True
        for done in self._hanging:
            self._refuse(done)

    def _commit(self, work: Callable[[Connection], T], done: asyncio.Future[T]) -> None:
        if not self._is_dead:
            super()._commit(work, done)
        elif self._is_buried:
            self._refuse(done)
        else:
            self._hanging.append(done)

    def _refuse(self, done: asyncio.Future[Any]) -> None:
        if not done.done():
            done.set_exception(StoreError("this runner is dead"))


class BrokenWriter:
    """A disk that fails for good from the moment `fails` is set."""

    pipeline_depth = 1

    def __init__(self, database: Database) -> None:
        self._inline = InlineWriter(database)
        self.fails = False

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        if not self.fails:
            return self._inline.write(work)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        done.set_exception(StoreError("the store failed: disk full", hint="free some space"))
        return done

    def close(self) -> None:
        """Nothing to do."""


class CountingQueue(SqlQueue):
    """The real queue, which counts claims."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.claims = 0

    async def claim(self, *arguments: Any, **named: Any) -> Any:
        self.claims += 1
        return await super().claim(*arguments, **named)


def line_of(number: int, body: dict[str, Any]) -> ParsedLine:
    url = "/v1/embeddings" if "input" in body else "/v1/chat/completions"
    whole = {"custom_id": f"r{number}", "method": "POST", "url": url, "body": body}
    parsed = parse_line(json.dumps(whole).encode(), line=number, default_path=None)
    assert isinstance(parsed, ParsedLine), parsed
    return parsed


@dataclass
class Rig:
    """One store, one provider; as many workers after one another as a test starts."""

    database: Database
    provider: FakeProvider = field(default_factory=FakeProvider)
    events: Recorder = field(default_factory=Recorder)
    clock: VirtualClock = field(default_factory=VirtualClock)
    #: What makes the sender of a job; by default the provider is it.
    senders: Callable[[Job], Awaitable[Sender]] | None = None
    jitter: float = _NO_JITTER

    def submit(self, bodies: Iterable[dict[str, Any]], *, name: str = "job", **settings: Any) -> Job:
        """A whole job, wanted."""
        job_id = stores.begin_job(self.database, name=name, **settings)
        parsed = [line_of(number, body) for number, body in enumerate(bodies, 1)]
        lines = [Line(parsed=each, fingerprint=fingerprint(each.path, each.body)) for each in parsed]
        with self.database.write() as connection:
            assert loading.add(connection, job_id, loading.Routes(job_id), lines, with_bodies=True) == []
            loading.open_job(connection, job_id)
            jobs.want(connection, [job_id])
            return jobs.get(connection, job_id)

    def worker(
        self,
        *,
        concurrency: int | None = None,
        writer: Writer | None = None,
        flights: InFlightLog | None = None,
        validator: OutputValidator | None = None,
    ) -> Worker:
        """A new runner in place of the one before, which may have died."""
        with self.database.write() as connection:
            runners.rescue(connection, now=self.clock.now())
            holder = runners.start(connection, pid=1, host="here", boot=None, now=self.clock.now())
        self.queue = CountingQueue(writer or InlineWriter(self.database), holder, self.clock)
        return Worker(
            queue=self.queue,
            budget=LaneBudgets(self.clock, most_in_flight=concurrency),
            clock=self.clock,
            events=self.events,
            senders=self.senders or self._provider_for,
            concurrency=concurrency,
            validator=validator or InlineValidator(),
            jitter=lambda: self.jitter,
            flights=flights,
        )

    async def _provider_for(self, _: Job) -> Sender:
        return self.provider

    async def run(
        self,
        *of: Job,
        probing: Sequence[Job] = (),
        concurrency: int | None = None,
        writer: Writer | None = None,
        within: float = 36_000.0,
    ) -> End:
        """Run the jobs to their end."""
        worker = self.worker(concurrency=concurrency, writer=writer)
        async with asyncio.timeout(within):
            return await worker.run([job.id for job in of], probing=[job.id for job in probing])

    def resume(self, job: Job) -> None:
        """What `batcher resume` does to the store: whatever paused the job has ended."""
        with self.database.write() as connection:
            for pause in pauses.in_force(connection):
                connection.exec_driver_sql(
                    "UPDATE pauses SET ended_at = ? WHERE scope = ? AND ref = ?", (1, pause.scope.value, pause.ref)
                )
            jobs.remember(connection, job.id, settings=job.settings)
            jobs.want(connection, [job.id])

    def rows(self, job: Job | None = None) -> list[Any]:
        """The rows of `requests` in file order."""
        return list(stores.stored(self.database, job).values()) if job else stores.table(self.database, "requests")

    def states(self, job: Job | None = None) -> Counter[str]:
        return Counter(row["state"] for row in self.rows(job))

    def attempts(self) -> list[Any]:
        return stores.table(self.database, "attempts")

    def pauses(self) -> list[Pause]:
        with self.database.read() as connection:
            return pauses.in_force(connection)

    def job(self, job: Job) -> Job:
        return stores.job_now(self.database, job)


def open_rig(folder: Path) -> Rig:
    database = stores.open_store(folder)
    # Virtual time knows no power cut: a test of an hour need not wait for 7,000 flushes.
    with database._mutex:
        database._writer.exec_driver_sql("PRAGMA synchronous = OFF")
    return Rig(database)


async def until(seconds: float) -> None:
    """Sleep to a loop time."""
    await asyncio.sleep(seconds - now())
