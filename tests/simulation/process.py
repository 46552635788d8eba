"""A process of a simulation: it takes numbered steps and may die between any two of them.

A step is anything with an effect outside the process: a transaction, an entry in the in-flight log, a request, a
reply. After its death nothing it does has an effect, even if its code still unwinds; its locks are released.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection

from batcher.domain.errors import BatcherError, StoreError
from batcher.domain.events import RequestsSettled
from batcher.domain.ids import HolderId
from batcher.domain.requests import Claim, ClaimResult, RouteDemand
from batcher.domain.settlements import Settlement
from batcher.ports import Store
from batcher.store.queue.adapter import SqlQueue
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.in_flight_log import FileInFlightLog
from tests.simulation.scenario import DiskFault
from tests.support.virtual_time import EPOCH_US, VirtualClock

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
#: The process that the running code belongs to.
CURRENT: ContextVar["Process"] = ContextVar("process")


class Died(BaseException):
    """The process is dead."""


class Process:
    """One process on the store of a world."""

    def __init__(self, world: "World", name: str, *, dies_at: int = 0) -> None:
        self.world = world
        self.name = name
        #: Its current operation, as `laws` names it.
        self.doing = "begin"
        self.alive = True
        self.holder: HolderId | None = None
        #: Sent and not settled on disk, as the watcher knows it.
        self.out: set[tuple[int, int]] = set()
        #: Settlements that are not yet on disk; those of a dead process arrive too late.
        self.given: list[Sequence[Settlement]] = []
        #: The wall clock when the process started: `SystemClock` never steps.
        self.clock_off_us = world.clock_off_us
        self.clock = VirtualClock(EPOCH_US + self.clock_off_us)
        self.database = MortalDatabase(world.path, self)
        self._dies_at = dies_at
        self._steps = 0
        self._task: asyncio.Task[Any] | None = None
        self._writers: list[SimWriter] = []

    def step(self, what: str) -> None:
        """Raise Died if the process is dead or dies at this step."""
        if self.alive:
            self._steps += 1
            if self._steps == self._dies_at:
                self.world.trace(self.name, "dies", what)
                self.die()
        if not self.alive:
            raise Died

    def die(self) -> None:
        """Die: nothing the process does from now on has an effect."""
        if not self.alive:
            return
        self.alive = False
        self.world.watcher.died(self)
        for writer in self._writers:
            writer.reject()
        if self._task is not None:
            self._task.cancel()

    async def live(self, life: Coroutine[Any, Any, T]) -> T | None:
        """Run a coroutine as this process until it ends. None: it died, or gave up because the disk failed."""
        CURRENT.set(self)
        self._task = asyncio.create_task(life)
        await asyncio.wait({self._task})
        try:
            result: T = self._task.result()
        except BaseException as error:
            if self.alive and not isinstance(error, BatcherError):
                raise
            self.world.trace(self.name, "ended by", type(error).__name__ if self.alive else "death")
            self.end(has_failed=True)
            return None
        self.end()
        return result

    def do(self, doing: str, work: Callable[[], T]) -> T | None:
        """Run a synchronous function as this process: like `live`, for commands that wait for nothing."""
        self.doing = doing
        with suppress(Died, BatcherError):
            return work()
        return None

    def end(self, *, has_failed: bool = False) -> None:
        """Close everything that the process has open."""
        self.world.watcher.ended(self, has_failed=has_failed)
        self.alive = False
        self.database.close()

    def writer(self, database: Store) -> "SimWriter":
        scenario = self.world.scenario
        made = SimWriter(database, self, scenario.disk, depth=4 if scenario.flushes_beside else 1)
        self._writers.append(made)
        return made


class MortalDatabase(Database):
    """A store as one process sees it: it accepts nothing from a dead process, and a commit may raise."""

    def __init__(self, path: Path, process: Process) -> None:
        self._process = process
        super().__init__(path)
        self._writer.exec_driver_sql("PRAGMA synchronous = OFF")

    @contextmanager
    def write(self, *, flush: bool = True) -> Iterator[Connection]:
        process, watcher = self._process, self._process.world.watcher
        process.step("before a commit")
        fault = process.world.disk_fault()
        with super().write(flush=flush) as connection:
            yield connection
            if fault is DiskFault.LOST:
                raise StoreError("the disk failed: nothing was written")
        watcher.committed(process)
        if fault is DiskFault.THERE:
            raise StoreError("the disk failed, after all was written")
        process.step("after a commit")

    @contextmanager
    def read(self, *, flushed: bool = False) -> Iterator[Connection]:
        if not self._process.alive:
            raise Died
        with super().read(flushed=flushed) as connection:
            yield connection


class SimWriter:
    """`Writer`: each piece of work is its own transaction, one after another, each taking some time.

    With a pipeline, as on a slow disk, a transaction is visible at once and reported when it is flushed, several
    at a time.
    """

    def __init__(self, database: Store, process: Process, seconds: float, *, depth: int) -> None:
        self.pipeline_depth = depth
        self._database = database
        self._process = process
        self._seconds = seconds
        self._free_at = 0.0
        self._waiting: dict[asyncio.Future[Any], Callable[[Connection], Any]] = {}

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._waiting[done] = work
        if not self._process.alive:
            self.reject()
        elif self._seconds == 0 or self.pipeline_depth > 1:
            self._commit(done, work)
        else:
            self._free_at = max(self._free_at, loop.time()) + self._seconds
            loop.call_at(self._free_at, self._commit, done, work)
        return done

    def reject(self) -> None:
        """Let the tasks that wait in a dead process fail with Died, so that they end."""
        waiting, self._waiting = self._waiting, {}
        for done in waiting:
            if not done.done():
                done.set_exception(Died())

    def close(self) -> None:
        """Do nothing: the given work is done and no more comes."""

    def _commit(self, done: asyncio.Future[Any], work: Callable[[Connection], Any]) -> None:
        if done not in self._waiting:
            return
        self._process.doing = _operation(work)
        try:
            with self._database.write() as connection:
                result = work(connection)
        except BaseException as error:  # noqa: BLE001 - whatever it was belongs to the one who waits
            self._waiting.pop(done, None)
            if not done.done():
                done.set_exception(error)
        else:
            if self.pipeline_depth > 1:
                asyncio.get_running_loop().call_later(self._seconds, self._tell, done, result)
            else:
                self._tell(done, result)
        finally:
            self._process.doing = "begin"

    def _tell(self, done: asyncio.Future[Any], result: object) -> None:
        if self._waiting.pop(done, None) is not None and not done.done():
            done.set_result(result)


def _operation(work: Callable[[Connection], Any]) -> str:
    """Return the name of the queue's method that submitted the work."""
    return work.__qualname__.split(".<locals>")[0].rpartition(".")[2]


class SimQueue(SqlQueue):
    """The real queue; it keeps the given settlements until they are known to be on disk."""

    def settle(self, settlements: Sequence[Settlement]) -> Awaitable[Sequence[RequestsSettled]]:
        process = _giving(settlements)
        return _remembered(process, settlements, super().settle(settlements))

    def exchange(
        self, settlements: Sequence[Settlement], wants: Sequence[RouteDemand], *, most_bytes: int
    ) -> Awaitable[tuple[Sequence[RequestsSettled], ClaimResult]]:
        process = _giving(settlements)
        return _remembered(process, settlements, super().exchange(settlements, wants, most_bytes=most_bytes))


def _giving(settlements: Sequence[Settlement]) -> Process:
    """Record the settlements of a live process; a dead one's tasks end in random order, so theirs are ignored."""
    process = CURRENT.get()
    if process.alive:
        process.given.append(settlements)
    return process


async def _remembered(process: Process, settlements: Sequence[Settlement], written: Awaitable[T]) -> T:
    try:
        return await written
    finally:
        if process.alive:
            process.given.remove(settlements)


class SimFlights(FileInFlightLog):
    """The in-flight log of one process."""

    def __init__(self, store: Path, *, holder: HolderId, boot: str | None) -> None:
        self._process = CURRENT.get()
        self._process.holder = holder
        self._process.world.watcher.began(self._process)
        super().__init__(store, holder=holder, boot=boot)

    def record(self) -> None:
        self._process.step("before a note")
        super().record()
        self._process.step("after a note")

    def end(self, claims: Iterable[Claim]) -> None:
        if self._process.alive:
            super().end(claims)
