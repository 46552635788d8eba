"""A store that can only be read: on a read-only disk, or another user's file."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from batcher.domain.errors import StoreError
from batcher.domain.messages import Cause
from batcher.store.sqlite import forks
from batcher.store.sqlite.connections import make_engine, storage_errors
from batcher.store.sqlite.database import Database, identity, refuse_foreign
from batcher.store.sqlite.filesystem import real_path, refuse_second_view
from batcher.store.sqlite.wal_flush import flush_log

_HINT: Final = Cause.WRITABLE_OR_COPY()
#: The log is read without an index in memory that is shared; SQLite then makes one of its own.
_LOGGED, _WITHOUT_INDEX, _CLOSED = "mode=ro", "mode=ro&readonly_shm=1", "immutable=1"


def open_for_reading(path: Path) -> Database:
    """Return the store for commands that mostly read; if it cannot be written, one whose `write` raises."""
    path = real_path(path)
    folder = path.parent
    if not (os.access(path, os.W_OK) and os.access(folder, os.W_OK | os.X_OK)):
        return ReadOnlyDatabase(path)
    try:
        return Database(path)
    except StoreError as error:
        if not _is_about_writing(error):
            raise
        try:
            return ReadOnlyDatabase(path, refusal=error)
        except StoreError:
            raise error from None


def _is_about_writing(error: StoreError) -> bool:
    """Return whether a file beside the store could not be written: a full disk, or another user's file."""
    cause = error.__cause__
    return isinstance(cause, OSError) or (isinstance(cause, OperationalError) and "locked" not in str(cause.orig))


class ReadOnlyDatabase(Database):
    """Reads only; takes no lock. Raises StoreError if not even that is possible.

    `refusal` is the error that `write` raises; None: it says that the store can only be read.
    """

    is_read_only = True

    def __init__(self, path: Path, *, refusal: StoreError | None = None) -> None:
        self.path = path = real_path(path)
        refuse_second_view(path)
        self._refusal = refusal
        #: On a full disk an empty file can still be made, so that SQLite reads the log.
        self._may_create = 0 if refusal is None else os.O_CREAT
        self._mutex = threading.Lock()
        forks.refuse_inherited(identity(path), path)
        self._file = identity(path)
        self._is_inherited, self._may_wait = False, True
        self._engines = {each: make_engine(path, each) for each in (_LOGGED, _WITHOUT_INDEX, _CLOSED)}
        with storage_errors(path), self._retry(self._engines[self._parameters()].connect) as connection:
            self._retry(lambda: refuse_foreign(connection, path))
        forks.watch(self)

    def wait(self, allowed: bool) -> None:
        """Set whether a read may wait for another program's lock."""
        self._may_wait = allowed

    def is_busy(self) -> bool:
        """Return False: nothing is written."""
        return False

    def _parameters(self) -> str:
        """Return SQLite's parameters for opening the file now.

        If there is a log, it must be read, too, which needs its index. Without a log no process has written to the
        store since it was closed, and SQLite reads a file in WAL mode from a read-only folder only if it is
        declared immutable.
        """
        log, index = (self.path.with_name(self.path.name + ending) for ending in ("-wal", "-shm"))
        if not log.exists() or not log.stat().st_size:
            return _CLOSED
        if self._refusal is None and index.exists():
            return _LOGGED
        try:
            os.close(os.open(index, os.O_RDONLY | self._may_create | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(
                f"the store {self.path} cannot be read: it was not closed, and what it needs to read its log"
                " cannot be made beside it",
                hint=Cause.COPY_STORE(store=self.path.name, log=log.name),
            ) from error
        return _WITHOUT_INDEX

    @contextmanager
    def read(self, *, flushed: bool = False) -> Iterator[Connection]:
        """Return one consistent snapshot, of the store as it is now: a runner may have started meanwhile.

        A file that is read without its log must not change in between. Raises StoreError if it did.
        """
        self._refuse_another_file()
        before, parameters = self._version(), self._parameters()
        try:
            engine = self._engines[parameters]
            with storage_errors(self.path), self._snapshot(engine, flushed=flushed) as connection:
                yield connection
        except StoreError as error:
            if parameters == _CLOSED and self._version() != before:
                raise self._changed() from error
            raise
        if parameters == _CLOSED and self._version() != before:
            raise self._changed()

    def _flush_seen(self) -> None:
        """Flush what a snapshot contains, whichever process has committed it."""
        try:
            flush_log(self.path)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    def _version(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_mtime_ns, found.st_size

    def _changed(self) -> StoreError:
        message = f"the store {self.path} was changed by another process while it was read without its log"
        return StoreError(message, hint="run the command again")

    @contextmanager
    def write(self, *, flush: bool = True) -> Iterator[Connection]:  # noqa: ARG002 - as the other
        """Raise StoreError."""
        self._refuse()
        yield  # type: ignore[unreachable]  # makes it a context manager

    def _refuse(self) -> NoReturn:
        if self._refusal is not None:
            raise self._refusal
        raise StoreError(f"the store {self.path} can only be read here", hint=_HINT)

    def close(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            engine.dispose()
