"""One thread owns the write connection and commits back to back; each batch is what arrived meanwhile.

There is no timer: while one batch commits the next one gathers. The event loop never waits for a disk. On a disk
that is slow to flush, batches are flushed in parallel, several at a time, while the next one is written. The
interface is `ports.Writer`: a simulation in virtual time runs the work inline instead, because its clock must not
race a thread.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Connection

from batcher.domain.errors import StoreError
from batcher.store.sqlite import forks
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.wal_flush import FLUSHES, DiskPace

T = TypeVar("T")
Work = Callable[[Connection], Any]
Group = list[tuple[Work, Future[Any]]]


def _report(done: Future[Any], result: object) -> None:
    """Resolve the future. Its waiter may have been cancelled; the work is on disk all the same."""
    if done.set_running_or_notify_cancel():
        done.set_result(result)


def _report_error(done: Future[Any], error: Exception) -> None:
    if done.set_running_or_notify_cancel():
        done.set_exception(error)


class _Committed:
    """A batch whose commit is in the log, and the results of its work."""

    def __init__(self, group: Group, results: list[Any]) -> None:
        self._group = group
        self._results = results

    def report(self, error: Exception | None = None) -> None:
        for (_, done), result in zip(self._group, self._results, strict=True):
            if error is None:
                _report(done, result)
            else:
                _report_error(done, error)


class _Flushers:
    """Flushes committed batches in parallel with the committing thread, and reports them in their order."""

    def __init__(self, database: Database, pace: DiskPace) -> None:
        self._database = database
        self._pace = pace
        self._pool = ThreadPoolExecutor(FLUSHES, thread_name_prefix="batcher-flush")
        self._unreported: deque[_Committed] = deque()
        self._reporting = threading.Lock()

    def give(self, committed: _Committed) -> None:
        self._unreported.append(committed)
        self._pool.submit(self._flush, committed)

    def _flush(self, committed: _Committed) -> None:
        """Return what is on disk now with all that was committed before, or nothing if the flush fails."""
        error = None
        began = time.perf_counter()
        try:
            self._database.flush()
        except StoreError as failed:
            error = failed
        self._pace.add(time.perf_counter() - began)
        with self._reporting:
            while self._unreported and (error is not None or committed in self._unreported):
                self._unreported.popleft().report(error)

    def close(self) -> None:
        """Return when everything given has been reported."""
        self._pool.shutdown()


class StoreThread:
    """The production writer: groups whatever has arrived into one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inbox: queue.SimpleQueue[tuple[Work, Future[Any]] | None] = queue.SimpleQueue()
        #: Nothing more is accepted; the thread ends when it has finished what was given.
        self._closed = False
        self._pace = DiskPace()
        #: None: each commit is flushed by itself.
        self._flushers: _Flushers | None = None
        self._thread = threading.Thread(target=self._run, name="batcher-store", daemon=True)
        self._thread.start()
        self._is_inherited = False
        forks.watch(self)

    def after_fork(self) -> None:
        """See `forks.Inherited`: the thread exists in the parent alone."""
        self._is_inherited = True

    @property
    def pipeline_depth(self) -> int:
        """See `ports.Writer`."""
        return 1 if self._flushers is None else FLUSHES

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Queue the work; await the result to know that it is on disk.

        Work may run twice: if another piece of its batch fails, the transaction is rolled back and repeated. So it
        must keep no state except what it returns.
        """
        if self._is_inherited:
            raise forks.opened_before_fork(self._database.path)
        if self._closed:
            raise RuntimeError("the store's thread has ended; nothing more can be written")
        done: Future[T] = Future()
        self._inbox.put((work, done))
        return asyncio.wrap_future(done)

    def close(self) -> None:
        """Wait until everything given is on disk, then end the thread."""
        if self._is_inherited:
            return
        self._closed = True
        self._inbox.put(None)
        self._thread.join()
        if self._flushers is not None:
            self._flush_beside(False)

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._gather()
            if group:
                self._commit(group)
            if (self._flushers is not None) != self._pace.is_slow:
                self._flush_beside(self._pace.is_slow)

    def _flush_beside(self, beside: bool) -> None:
        if self._flushers is not None:
            self._flushers.close()
            self._flushers = None
        with suppress(StoreError):  # the mode stays as it was, and the next batch tries again
            self._database.flush_beside(beside)
            self._flushers = _Flushers(self._database, self._pace) if beside else None

    def _gather(self) -> tuple[Group, bool]:
        """Collect what has arrived, at least one piece; return False if it was the last."""
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
        except Exception as error:  # noqa: BLE001 - every error belongs to those who wait
            self._fail(group, error)
            return
        committed = _Committed(group, results)
        if self._flushers is not None:
            self._flushers.give(committed)
        else:
            self._pace.add(self._database.commit_seconds)
            committed.report()

    def _fail(self, group: Group, error: Exception) -> None:
        """Run each piece by itself, so that a failing one does not affect the others."""
        if len(group) == 1:
            _report_error(group[0][1], error)
            return
        for item in group:
            self._commit([item])
