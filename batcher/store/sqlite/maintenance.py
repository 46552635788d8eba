"""Maintenance of the store: whether the file is sound, and a copy of it."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from batcher import os_locks
from batcher.domain.errors import BatcherError, ForeignStore, StoreError, UsageError
from batcher.domain.messages import Cause
from batcher.store.sqlite.database import INCREMENTAL, Database

#: What `PRAGMA auto_vacuum` answers if freed pages can be given back step by step.
_INCREMENTAL = 2
#: The command that saves what can be read of a damaged store.
RECOVERY = "sqlite3 STORE .recover"
#: The most problems that are listed; SQLite looks for no more either.
MOST_PROBLEMS = 100


def sqlite_version() -> str:
    """Return the version of the library that Python uses."""
    return sqlite3.sqlite_version


def problems(connection: Connection) -> list[str]:
    """Return what is wrong with the file, page by page and reference by reference; empty if it is sound."""
    try:
        found = connection.exec_driver_sql(f"PRAGMA integrity_check({MOST_PROBLEMS})").scalars().all()
        broken = [str(text) for text in found if text != "ok"]
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(MOST_PROBLEMS)
    except DatabaseError as error:
        return [f"it cannot be read to its end: {error.orig}"]
    return broken + [f"row {row[1]} of {row[0]} names a row of {row[2]} that is not there" for row in dangling]


def damage(error: StoreError) -> str | None:
    """Return what SQLite said if the error means that the file is damaged; None if it means something else."""
    cause = error.__cause__
    is_damage = isinstance(cause, DatabaseError) and not isinstance(cause, OperationalError)
    return None if isinstance(error, ForeignStore) or not is_damage else str(getattr(cause, "orig", cause))


def reclaim_some(connection: Connection, pages: int) -> bool:
    """Give at most so many freed pages back to the disk; return whether more can be.

    Nothing happens in a store that an earlier version made (see `compact`). The file shrinks at a checkpoint.
    """
    if connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() != _INCREMENTAL:
        return False
    free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
    for _ in range(min(pages, free)):
        # The driver steps a statement without columns once, and each step frees one page.
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    return free > pages


def compact(database: Database) -> None:
    """Write the store's file again, without free pages, and so that it gives back what is freed later.

    It takes up to twice the space of the file, and no one else can write meanwhile. The caller holds the runner's
    lock.
    """
    with database.alone() as connection, _temporary_files_in(database.path.parent, connection):
        connection.exec_driver_sql(INCREMENTAL)
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()


@contextmanager
def _temporary_files_in(folder: Path, connection: Connection) -> Iterator[None]:
    """Let SQLite put what is temporary in this folder instead of in memory: VACUUM makes a copy of the store."""
    place = str(folder).replace("'", "''")
    connection.exec_driver_sql("PRAGMA temp_store = FILE")
    connection.exec_driver_sql(f"PRAGMA temp_store_directory = '{place}'")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA temp_store_directory = ''")
        connection.exec_driver_sql("PRAGMA temp_store = MEMORY")


def backup(database: Database, target: Path, *, replace: bool) -> None:
    """Copy the store as it is at one instant to one file, 0600; complete, or not there at all.

    It uses SQLite's own backup: the store may be in use, and its file is never opened by path. Raises UsageError
    if `target` exists and must not be replaced, BatcherError if it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".tmp", dir=target.parent)
    except OSError as error:
        raise BatcherError(f"cannot write {target}: {error.strerror}", hint="name another file") from error
    try:
        # A sign that it is being written; see `files.writing`, which removes what is left over.
        with suppress(OSError):
            os_locks.lock(handle)
        _copy(database, Path(name))
        _put_in_place(Path(name), target, replace=replace)
    except (OSError, sqlite3.Error) as error:
        hint = "free some space or fix the folder's permissions, then try again"
        raise BatcherError(f"cannot write {target}: {error}", hint=hint) from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        os.close(handle)


def _copy(database: Database, to: Path) -> None:
    with database.read() as connection, closing(sqlite3.connect(to, isolation_level=None)) as copy:
        source: Any = connection.connection.dbapi_connection
        source.backup(copy)
        # One file: without a log beside it, which a copy of the file alone would lack.
        copy.execute("PRAGMA journal_mode = DELETE")


def _put_in_place(made: Path, target: Path, *, replace: bool) -> None:
    with made.open("rb") as file:
        os.fsync(file.fileno())
    if replace:
        made.replace(target)
        return
    try:
        # Unlike a rename, a link never replaces a file that appeared meanwhile.
        os.link(made, target)
    except FileExistsError:
        raise UsageError(f"{target} is there already", hint=Cause.OTHER_FILE_OR_FORCE()) from None
