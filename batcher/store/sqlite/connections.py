"""Connections of SQLite: their settings, and their errors in plain words."""

import errno
import os
import pwd
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from batcher.domain.errors import ForeignStore, StoreError
from batcher.domain.messages import Cause, Words
from batcher.store.dialect import register
from batcher.store.sqlite import forks
from batcher.store.sqlite.spelling import SqliteDialect

#: The first version with RETURNING.
LEAST_SQLITE = (3, 35, 0)

#: Bytes that the index of a log takes at least.
_LEAST_FREE: Final = 1 << 16
#: How long SQLite waits by itself for another program's lock; no signal is handled meanwhile. We then ask again.
BUSY_MS = 200
#: Seconds for which we ask again.
BUSY_SECONDS = 30.0

# In pages of 4 KiB. A checkpoint flushes three times, which takes as long as three commits on a slow disk;
# SQLite's own 1,000 pages are those of a dozen batches.
FLUSHED_WITHIN = ("PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 4000")
FLUSHED_BESIDE = ("PRAGMA synchronous = NORMAL", "PRAGMA wal_autocheckpoint = 32000")


def refuse_old_sqlite(version: tuple[int, int, int]) -> None:
    """Raise StoreError if Python was built with an SQLite that lacks a statement that the store uses."""
    if version < LEAST_SQLITE:
        have, need = (".".join(map(str, each)) for each in (version, LEAST_SQLITE))
        raise StoreError(
            f"this Python uses SQLite {have}, and the store needs {need} or later",
            hint=Cause.NEWER_PYTHON(),
        )


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection
    # Only `Database` sends BEGIN and COMMIT; the driver must not add its own.
    connection.isolation_level = None
    cursor = connection.cursor()
    # Sorting in memory: a temporary file needs a descriptor, and may not find one.
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    cursor.execute("PRAGMA cache_size = -32768")
    for pragma in FLUSHED_WITHIN:
        cursor.execute(pragma)
    cursor.close()


def make_engine(path: Path, parameters: str | None = None) -> Engine:
    """Return an engine for the file; `parameters` are SQLite's own, such as `mode=ro`."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: _connect(path, parameters),
        poolclass=NullPool,
        # Nothing here builds the same Core statement twice: hot ones are compiled once.
        query_cache_size=100,
    )
    event.listen(engine, "connect", _on_connect)
    register(engine.dialect.name, SqliteDialect())
    return engine


def _connect(path: Path, parameters: str | None) -> Any:  # noqa: ANN401 - a DBAPI connection
    import sqlite3  # noqa: PLC0415 - the driver, only where a store is opened

    refuse_old_sqlite(sqlite3.sqlite_version_info)
    # One connection is used by one thread at a time, though not always by the thread that created it.
    place = path if parameters is None else f"file:{quote(os.fspath(path))}?{parameters}"
    connection = sqlite3.connect(
        place,
        uri=parameters is not None,
        check_same_thread=False,
        cached_statements=256,
        factory=_connection_class(),
    )
    forks.watch(connection)
    return connection


@cache
def _connection_class() -> Any:  # noqa: ANN401 - a class of the driver
    import sqlite3  # noqa: PLC0415 - the driver, only where a store is opened

    class Connection(sqlite3.Connection):
        """One that is never closed in a forked child."""

        def after_fork(self) -> None:
            """See `forks.Inherited`."""
            forks.leak(self)

    return Connection


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Wrap the driver's errors once, here: what happened to which file, and what to do."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        # A violated rule or a wrong statement of our own says nothing about the file.
        raise
    except OperationalError as error:
        if "locked" in str(error.orig):
            raise locked(path, f"waited {BUSY_SECONDS:g} s") from error
        if "unable to open" in str(error.orig) and _has_no_descriptor():
            raise StoreError(
                f"the store {path} failed: too many files are open", hint=Cause.MORE_OPEN_FILES()
            ) from error
        if "unable to open" in str(error.orig) and (owner := _other_owner(path)):
            raise StoreError(
                f"the store {path} belongs to {owner}, and this user may not read it",
                hint=Cause.RUN_AS_OWNER(owner=owner),
            ) from error
        if "I/O" in str(error.orig) and is_full(path.parent):
            # SQLite says so where the files beside the store find no room.
            raise StoreError(f"the store {path} failed: the disk is full", hint=advice("full")) from error
        raise StoreError(f"the store {path} failed: {error.orig}", hint=advice(str(error.orig))) from error
    except DatabaseError as error:
        if "not a database" in str(error.orig):
            raise ForeignStore(f"{path} is not a store of batcher", hint=Cause.OTHER_STORE_FILE()) from error
        raise StoreError(f"the store {path} is damaged: {error.orig}", hint=Cause.SEE_DB_CHECK()) from error


def _has_no_descriptor() -> bool:
    """Return whether this process can open no file; SQLite reports that as if it were about its own file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False


def _other_owner(path: Path) -> str | None:
    """Return who owns a store that this user may not read, as after a run with sudo; None if it may be read."""
    try:
        if os.access(path, os.R_OK):
            return None
        owner = path.stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        # A container often runs as a user that has no name.
        return f"user {owner}"


def is_full(folder: Path) -> bool:
    """Return whether the disk has no room for the files beside a store."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _LEAST_FREE or found.f_files > 0 == found.f_favail


def locked(path: Path, wait: str) -> StoreError:
    """Return the error for a lock of SQLite's that no process of ours holds; `wait` says how the wait ended."""
    return StoreError(
        f"the store {path} is locked by another program than batcher ({wait})",
        hint=f"close that program (`fuser {path}` shows which) and try again: nothing stored is lost",
    )


def advice(message: str) -> Words:
    """Return what to do about an error, by SQLite's or the system's words."""
    if "full" in message:
        return Cause.FREE_SPACE()
    if "readonly" in message or "unable to open" in message:
        return Cause.FILE_WRITABLE()
    if "I/O" in message:
        largest = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if largest != resource.RLIM_INFINITY:
            return f"files may have {largest:,} bytes here: raise `ulimit -f`, or the service's LimitFSIZE"
        return Cause.DISK_REFUSED()
    return Cause.SEE_DB_CHECK()
