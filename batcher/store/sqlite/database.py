"""The store as one SQLite file in WAL mode: flushed at every commit, private to its user, one writer at a time.

The file is never opened by path while a connection to it is open: that drops SQLite's own locks (measured).
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from batcher.domain.errors import ForeignStore, StoreError
from batcher.domain.messages import Cause
from batcher.store.sqlite import connections, forks
from batcher.store.sqlite.connections import (
    FLUSHED_BESIDE,
    FLUSHED_WITHIN,
    advice,
    make_engine,
    storage_errors,
)
from batcher.store.sqlite.file_locks import write_lock
from batcher.store.sqlite.filesystem import real_path, refuse_second_view, refuse_shared
from batcher.store.sqlite.store_port import StorePort
from batcher.store.sqlite.wal_flush import FLUSHES, LogFile, flush_log

T = TypeVar("T")

#: "batr" in the header of the file distinguishes our store from other SQLite files.
APPLICATION_ID = 0x62617472
#: Freed pages can be given back to the disk in small steps (`maintenance.reclaim_some`).
INCREMENTAL = "PRAGMA auto_vacuum = INCREMENTAL"


def _prepare_file(path: Path) -> None:
    """Create the file if there is none, 0600 from its first moment. An existing one is not touched."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a store", hint=Cause.NAME_STORE_FILE())
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise StoreError(f"{path} is a device or a pipe, not a store", hint=Cause.NAME_STORE_FILE()) from None
    except OSError as error:
        raise StoreError(
            f"cannot make the store {path}: {error.strerror}",
            hint="free some space" if error.errno == errno.ENOSPC else Cause.OTHER_STORE_PLACE(),
        ) from error


def refuse_foreign(connection: Connection, path: Path) -> None:
    """Raise `ForeignStore` if the file is another program's, before a byte of it is changed."""
    mark = connection.exec_driver_sql("PRAGMA application_id").scalar()
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    if mark == APPLICATION_ID or (mark == 0 and tables == 0):
        return
    raise ForeignStore(f"{path} is an SQLite file of another program", hint=Cause.OTHER_STORE_FILE())


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file is at the path, without opening it; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Database(StorePort):
    """One store: a write connection used under the write lock, and separate read connections.

    `write()` and `read()` may be called from any thread; writes of one process queue up behind one another.
    """

    #: Whether a write waits for other processes as long as they live; if not, it fails after a minute.
    is_patient = False

    def __init__(self, path: Path) -> None:
        #: The one real path: links to the store share its locks, its log and its side files.
        self.path = path = real_path(path)
        self._mutex = threading.Lock()
        refuse_second_view(path)
        refuse_shared(path)
        forks.refuse_inherited(identity(path), path)
        _prepare_file(path)
        self._file = identity(path)
        #: This is a forked child of the process that opened the store.
        self._is_inherited = False
        self._log = LogFile(path)
        #: Commits are flushed by `flush`, not by SQLite.
        self._flushes = False
        #: A flush failed: what was committed since the last checkpoint may or may not be on disk.
        self._is_torn = False
        #: Seconds that the last COMMIT took.
        self.commit_seconds = 0.0
        self._may_wait = True
        self._engine = make_engine(path)
        with storage_errors(path), ExitStack() as undo:
            self._writer = self._retry(self._engine.connect)
            undo.callback(self._writer.close)
            self._retry(lambda: refuse_foreign(self._writer, path))
            self._lock = write_lock(path)
            undo.callback(self._lock.close)
            self._set_up()
            undo.pop_all()
        forks.watch(self)

    def after_fork(self) -> None:
        """See `forks.Inherited`."""
        self._is_inherited = True
        self._mutex = threading.Lock()
        forks.inherit(self._file)

    def wait(self, allowed: bool) -> None:
        """Set whether threads may wait for another writer. False also ends the wait of those that do."""
        self._may_wait = allowed
        self._lock.wait(allowed)

    def _set_up(self) -> None:
        """Mark the file as ours and in WAL mode if it is not; a reader then waits for no writer."""
        if self._retry(self._is_set_up):
            return
        with self._mutex, self._lock.held():
            # Takes effect in a new file, before WAL mode is set; in another one, with `db compact`.
            self._writer.exec_driver_sql(INCREMENTAL)
            if (mode := self._patiently("PRAGMA journal_mode = WAL")) != "wal":
                raise StoreError(
                    f"the store {self.path} cannot be kept in SQLite's WAL mode here (it stays in mode {mode})",
                    hint=Cause.LOCAL_DISK(),
                )
            if self._writer.exec_driver_sql("PRAGMA application_id").scalar() != APPLICATION_ID:
                self._writer.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

    def _is_set_up(self) -> bool:
        mark = self._writer.exec_driver_sql("PRAGMA application_id").scalar()
        return mark == APPLICATION_ID and self._writer.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Yield the write connection, without a transaction, while no other process of ours writes.

        For what SQLite does in a transaction of its own, such as VACUUM.
        """
        with self._mutex, self._lock.held(), storage_errors(self.path):
            self._refuse_another_file()
            yield self._writer

    @contextmanager
    def write(self, *, flush: bool = True) -> Iterator[Connection]:
        """Run one write transaction: BEGIN IMMEDIATE under the lock of all processes, COMMIT at the end.

        BEGIN IMMEDIATE, because a plain BEGIN that writes later fails with BUSY_SNAPSHOT whatever the timeout. It
        is on disk at the end, except with `flush=False` after `flush_beside(True)`: then only after `flush` was
        called.
        """
        if self._is_inherited:
            raise forks.opened_before_fork(self.path)
        with self._mutex, self._lock.held(patient=self.is_patient), storage_errors(self.path):
            self._refuse_another_file()
            self._restart_torn_log()
            self._patiently("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._roll_back()
                raise
            began = time.perf_counter()
            try:
                self._writer.exec_driver_sql("COMMIT")
            except BaseException as error:
                if "I/O" in str(error):
                    # The flush within COMMIT failed. SQLite would write the next commit behind what it left.
                    self._tear()
                self._roll_back()
                raise
            self.commit_seconds = time.perf_counter() - began
            if flush:
                self.flush()

    def is_busy(self) -> bool:
        """Return whether a write would have to wait now, for this process or another."""
        if self._is_inherited or not self._mutex.acquire(blocking=False):
            return not self._is_inherited
        try:
            with self._lock.held_if_free() as held:
                return not held or self._is_locked()
        finally:
            self._mutex.release()

    def _is_locked(self) -> bool:
        """Return whether another program has locked the file."""
        try:
            self._writer.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as error:
            return "locked" in str(error.orig)
        self._writer.exec_driver_sql("ROLLBACK")
        return False

    def _patiently(self, statement: str, connection: Connection | None = None) -> Any:  # noqa: ANN401 - a value
        """Execute a statement that may have to wait for another program's lock; return its first value, if any."""

        def execute() -> Any:  # noqa: ANN401 - a value
            result = (connection or self._writer).exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

        return self._retry(execute)

    def _retry(self, work: Callable[[], T]) -> T:
        """Do work that may have to wait for another program's lock, and may be repeated."""
        deadline = time.monotonic() + connections.BUSY_SECONDS
        while True:
            try:
                return work()
            except OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > deadline:
                    raise
                if not self._may_wait:
                    raise connections.locked(self.path, "stopped waiting") from error

    def flush_beside(self, beside: bool) -> None:
        """Set whether `write(flush=False)` leaves flushing to its caller.

        Raises StoreError, and changes nothing, if no descriptors are left for it.
        """
        with self._mutex, storage_errors(self.path):
            if beside:
                self._reserve_descriptors()
            # Set first: if the switch is interrupted, commits are flushed twice rather than not at all.
            self._flushes = True
            self._choose_flushing(beside=beside)
            self._flushes = beside

    def _reserve_descriptors(self) -> None:
        try:
            self._log.reserve(FLUSHES)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def _choose_flushing(self, *, beside: bool) -> None:
        for pragma in FLUSHED_BESIDE if beside else FLUSHED_WITHIN:
            self._writer.exec_driver_sql(pragma)

    def flush(self) -> None:
        """Return when everything committed before is on disk; several threads may call it at once.

        Raises StoreError if that is not known; then no later commit counts until the log was repaired.
        """
        if not self._flushes:
            return
        try:
            self._log.flush()
        except OSError as error:
            self._tear()
            raise self._failed(error.strerror or str(error)) from error
        if self._is_torn:
            raise self._failed("an earlier flush did")

    def _tear(self) -> None:
        """Record, for all processes, that a flush failed: nothing counts that is committed behind it."""
        self._is_torn = True
        with suppress(OSError):
            self._lock.mark(True)

    def _failed(self, why: str) -> StoreError:
        return StoreError(f"the store {self.path} failed: {why}", hint=advice(why))

    def _restart_torn_log(self) -> None:
        """Begin a new log after a failed flush: the old one may have a gap, which would hide what comes after it.

        A checkpoint writes what the log holds in memory to the store's file, and flushes that.
        """
        if not (self._is_torn or self._lock.is_marked):
            return
        deadline = time.monotonic() + connections.BUSY_SECONDS
        while not (is_restarted := self._has_restarted_log()) and self._may_wait and time.monotonic() < deadline:
            pass
        if not is_restarted:
            raise self._failed("what an earlier flush left cannot be repaired while others read")
        self._log.close()
        if self._flushes:
            self._reserve_descriptors()
        with suppress(OSError):
            self._lock.mark(False)
        self._is_torn = False

    def _has_restarted_log(self) -> bool:
        blocked, logged, moved = self._writer.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)").one()
        return not blocked and logged == moved

    def _refuse_another_file(self) -> None:
        """Refuse a file that was deleted or replaced: writes are lost, and reading would make an empty one.

        Refuse also to use the parent's connections in a forked child.
        """
        if self._is_inherited:
            raise forks.opened_before_fork(self.path)
        if identity(self.path) != self._file:
            raise StoreError(
                f"the store {self.path} was deleted or replaced while it was in use",
                hint="put the file back, or run the job files again: what was not exported is lost with it",
            )

    def _roll_back(self) -> None:
        if self._writer.invalidated:
            # A signal arrived within a statement: SQLAlchemy has dropped the connection, and SQLite rolled back.
            self._writer.close()
            self._writer = self._retry(self._engine.connect)
            self._choose_flushing(beside=self._flushes)
            return
        driver = self._writer.connection.dbapi_connection
        if driver is not None and getattr(driver, "in_transaction", False):
            self._writer.exec_driver_sql("ROLLBACK")

    @contextmanager
    def read(self, *, flushed: bool = False) -> Iterator[Connection]:
        """Return one consistent snapshot; never waits for writers.

        `flushed`: what it contains is on disk, also what another process has committed and not flushed. Without
        it, only what is shown may be read: a file that is written from it might outlive a power cut that the store
        does not. Raises StoreError if that is not known.

        Closing it does not checkpoint: SQLite does that for the last connection, and our writer stays open.
        """
        with storage_errors(self.path):
            self._refuse_another_file()
            if flushed and (self._is_torn or self._lock.look_for_mark()):
                with self.write():
                    # This repairs the log first, which no snapshot of ours may keep it from.
                    pass
            with self._snapshot(self._engine, flushed=flushed) as connection:
                yield connection

    @contextmanager
    def _snapshot(self, engine: Engine, *, flushed: bool) -> Iterator[Connection]:
        """Read in one transaction over a connection of this engine, which cannot write."""
        connection = self._retry(engine.connect)
        try:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            connection.exec_driver_sql("BEGIN")
            self._patiently("SELECT 1 FROM sqlite_master", connection)
            if flushed:
                self._flush_seen()
            yield connection
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.close()

    def _flush_seen(self) -> None:
        """Flush what a snapshot contains, whichever process has committed it."""
        try:
            flush_log(self.path)
        except OSError as error:
            self._tear()
            raise self._failed(error.strerror or str(error)) from error
        if self._is_torn or self._lock.look_for_mark():
            raise self._failed("an earlier flush did")

    def close(self) -> None:
        """Close the write connection; the last one of all processes checkpoints, hence the lock.

        If another process has the lock, it has the file open, so ours is not the last connection, and there is no
        need to wait.
        """
        with self._mutex:
            if self._is_inherited or self._writer.closed:
                return
            with self._lock.held_if_free():
                self._writer.close()
                self._engine.dispose()
            self._log.close()
            self._lock.close()
