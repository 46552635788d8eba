"""One thread owns the write connection and commits back to back, each group being what came in meanwhile.

No timer: while one group commits the next gathers. The event loop never waits on a disk. Where the disk is slow to
flush, groups are flushed beside, several at a time, while the next one is written. This is a seam: production
hands work to a thread; a simulation runs it inline, where a clock that jumps must not race a thread.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection

from batcher.domain.errors import StoreError
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.wal_flush import DiskPace

T = TypeVar("T")
Work = Callable[[Connection], Any]
Group = list[tuple[Work, Future[Any]]]
#: Flushes under way at once: each takes along whatever was committed before it began.
_FLUSHES: Final = 4


def _tell(done: Future[Any], result: object) -> None:
    """Whoever waited may have been cancelled; the work is on disk all the same."""
    if done.set_running_or_notify_cancel():
        done.set_result(result)


def _tell_error(done: Future[Any], error: Exception) -> None:
    if done.set_running_or_notify_cancel():
        done.set_exception(error)


class Writer(Protocol):
    """Runs work inside write transactions, in the order given."""

    @property
    def is_slow(self) -> bool:
        """Whether work waits for the disk above all: then the next is written meanwhile, if it is given."""
        ...

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """The result once it is on disk."""
        ...

    def close(self) -> None:
        """Finish what was given."""
        ...


class _Committed:
    """A group whose commit is in the log, and what came of its work."""

    def __init__(self, group: Group, results: list[Any]) -> None:
        self._group = group
        self._results = results

    def tell(self, error: Exception | None = None) -> None:
        for (_, done), result in zip(self._group, self._results, strict=True):
            if error is None:
                _tell(done, result)
            else:
                _tell_error(done, error)


class _Flushers:
    """Flushes committed groups beside the thread that commits, and tells of them in their order."""

    def __init__(self, database: Database, pace: DiskPace) -> None:
        self._database = database
        self._pace = pace
        self._pool = ThreadPoolExecutor(_FLUSHES, thread_name_prefix="batcher-flush")
        self._untold: deque[_Committed] = deque()
        self._telling = threading.Lock()

    def give(self, committed: _Committed) -> None:
        self._untold.append(committed)
        self._pool.submit(self._flush, committed)

    def _flush(self, committed: _Committed) -> None:
        """What is on disk now, and all that was committed before; or nothing that is untold, should it fail."""
        error = None
        began = time.perf_counter()
        try:
            self._database.flush()
        except StoreError as failed:
            error = failed
        self._pace.add(time.perf_counter() - began)
        with self._telling:
            while self._untold and (error is not None or committed in self._untold):
                self._untold.popleft().tell(error)

    def close(self) -> None:
        """Return when all that was given is told."""
        self._pool.shutdown()


class StoreThread:
    """The production writer: groups whatever has gathered into one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        #: Nothing more is taken in; the thread ends when it has come to the end of what was given.
        self._closed = False
        self._pace = DiskPace()
        #: None: each commit is flushed by itself.
        self._flushers: _Flushers | None = None
        self._thread = threading.Thread(target=self._run, name="batcher-store", daemon=True)
        self._thread.start()

    @property
    def is_slow(self) -> bool:
        """See `Writer`."""
        return self._flushers is not None

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Hand the work over; await it to know that it is on disk.

        Work may run twice, the first time for nothing: a neighbour of its group that fails takes the transaction
        with it. It must keep nothing of a run but what it returns.
        """
        if self._closed:
            raise RuntimeError("the store's thread has ended; nothing more can be written")
        done: Future[T] = Future()
        self._inbox.put((work, done))
        return asyncio.wrap_future(done)

    def close(self) -> None:
        """Wait until everything given is on disk, then end the thread."""
        self._closed = True
        self._inbox.put(None)
        self._thread.join()
        if self.is_slow:
            self._flush_beside(False)

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._gather()
            if group:
                self._commit(group)
            if self.is_slow != self._pace.is_slow:
                self._flush_beside(self._pace.is_slow)

    def _flush_beside(self, beside: bool) -> None:
        if self._flushers is not None:
            self._flushers.close()
            self._flushers = None
        with suppress(StoreError):  # then it stays as it was, and the next group asks again
            self._database.flush_beside(beside)
            self._flushers = _Flushers(self._database, self._pace) if beside else None

    def _gather(self) -> tuple[Group, bool]:
        """What has come in, at least one piece; False: it was the last."""
        group = []
        item = self._inbox.get()
        while item is not None:
            group.append(item)
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: Group) -> None:
        try:
            with self._database.write(flush=self._flushers is None) as connection:
                results = [work(connection) for work, _ in group]
        except Exception as error:  # noqa: BLE001 - whatever it was belongs to those who wait
            self._fail(group, error)
            return
        committed = _Committed(group, results)
        if self._flushers is not None:
            self._flushers.give(committed)
        else:
            self._pace.add(self._database.commit_seconds)
            committed.tell()

    def _fail(self, group: Group, error: Exception) -> None:
        """One bad piece of work must not take its neighbours with it: each is tried alone."""
        if len(group) == 1:
            _tell_error(group[0][1], error)
            return
        for item in group:
            self._commit([item])


class InlineWriter:
    """The writer of a simulation: each piece of work is its own transaction, run where it is given."""

    is_slow = False

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Do the work now; what is awaited is already on disk."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            with self._database.write() as connection:
                result = work(connection)
        except Exception as error:  # noqa: BLE001 - whatever it was belongs to the one who waits
            done.set_exception(error)
        else:
            done.set_result(result)
        return done

    def close(self) -> None:
        """Nothing is ever left to do."""
