"""A store that can only be read: on a read-only disk, or another user's file."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from sqlalchemy import Connection

from batcher.domain.errors import StoreError
from batcher.store.sqlite import forks
from batcher.store.sqlite.connections import make_engine, storage_errors
from batcher.store.sqlite.database import Database, identity, refuse_foreign
from batcher.store.sqlite.filesystem import real_path, refuse_second_view

_HINT = "the file and its folder must be writable; or copy the store and name the copy with --db"


def open_for_reading(path: Path) -> Database:
    """Return the store for commands that mostly read; if it cannot be written, one whose `write` raises."""
    path = real_path(path)
    folder = path.parent
    is_writable = os.access(path, os.W_OK) and os.access(folder, os.W_OK | os.X_OK)
    return Database(path) if is_writable else ReadOnlyDatabase(path)


class ReadOnlyDatabase(Database):
    """Reads only; creates no file, takes no lock. Raises StoreError if not even that is possible."""

    is_read_only = True

    def __init__(self, path: Path) -> None:
        self.path = path = real_path(path)
        refuse_second_view(path)
        self._mutex = threading.Lock()
        forks.refuse_inherited(identity(path), path)
        self._file = identity(path)
        self._is_inherited, self._may_wait = False, True
        self._engine = make_engine(path, self._parameters())
        with storage_errors(path), self._engine.connect() as connection:
            refuse_foreign(connection, path)
        forks.watch(self)

    def wait(self, allowed: bool) -> None:
        """Set whether a read may wait for another program's lock."""
        self._may_wait = allowed

    def _parameters(self) -> str:
        """Return SQLite's parameters for opening the file.

        If there is a log, it must be read, too, which needs its index. Without a log no process has the file open,
        and SQLite reads a file in WAL mode from a read-only folder only if it is declared immutable.
        """
        log, index = (self.path.with_name(self.path.name + ending) for ending in ("-wal", "-shm"))
        if not log.exists() or not log.stat().st_size:
            return "immutable=1"
        if index.exists():
            return "mode=ro"
        raise StoreError(
            f"the store {self.path} cannot be read: it was not closed, and what it needs to read its log cannot be"
            " made beside it",
            hint=f"copy {self.path.name} and {log.name} to a folder that is writable, and name the copy with --db",
        )

    @contextmanager
    def write(self, *, flush: bool = True) -> Iterator[Connection]:  # noqa: ARG002 - as the other
        """Raise StoreError."""
        self._refuse()
        yield  # type: ignore[unreachable]  # makes it a context manager

    def _refuse(self) -> NoReturn:
        raise StoreError(f"the store {self.path} can only be read here", hint=_HINT)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


def runner_is_live(store: Path) -> bool:
    """Return whether a runner is using the store, without writing anything."""
    try:
        descriptor = os.open(store.with_name(f"{store.name}-runner"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
