"""One thread owns the write connection and commits back to back, each group being what came in meanwhile.

No timer: while one group commits the next gathers. The event loop never waits on a disk. This is a seam:
production hands work to a thread; a simulation runs it inline, where a clock that jumps must not race a thread.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from batcher.store.engine import Database

T = TypeVar("T")
Work = Callable[[Connection], Any]


def _tell(done: Future[Any], result: object) -> None:
    """Whoever waited may have been cancelled; the work is on disk all the same."""
    if done.set_running_or_notify_cancel():
        done.set_result(result)


def _tell_error(done: Future[Any], error: Exception) -> None:
    if done.set_running_or_notify_cancel():
        done.set_exception(error)


class Writer(Protocol):
    """Runs work inside write transactions, in the order given."""

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """The result once it is on disk."""
        ...

    def close(self) -> None:
        """Finish what was given."""
        ...


class StoreThread:
    """The production writer: groups whatever has gathered into one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        #: Nothing more is taken in; the thread ends when it has come to the end of what was given.
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="batcher-store", daemon=True)
        self._thread.start()

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

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._gather()
            if group:
                self._commit(group)

    def _gather(self) -> tuple[list[tuple[Work, Future[Any]]], bool]:
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

    def _commit(self, group: list[tuple[Work, Future[Any]]]) -> None:
        try:
            with self._database.write() as connection:
                results = [work(connection) for work, _ in group]
        except Exception as error:  # noqa: BLE001 - whatever it was belongs to those who wait
            self._fail(group, error)
            return
        for (_, done), result in zip(group, results, strict=True):
            _tell(done, result)

    def _fail(self, group: list[tuple[Work, Future[Any]]], error: Exception) -> None:
        """One bad piece of work must not take its neighbours with it: each is tried alone."""
        if len(group) == 1:
            _tell_error(group[0][1], error)
            return
        for item in group:
            self._commit([item])


class InlineWriter:
    """The writer of a simulation: each piece of work is its own transaction, run where it is given."""

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
