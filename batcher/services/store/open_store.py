"""Open the store for a command."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from batcher.domain.errors import RunnerBusy, StoreError
from batcher.ports import Clock
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from batcher.store.sqlite.read_only import open_for_reading

#: What to do if no store is at the path.
NO_STORE_HINT: Final = "`batcher run FILE` creates one; or name another store with --db or BATCHER_DB"
#: Longest wait for another process's upgrade. A process that holds the store for longer is a runner.
_UPGRADE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def exists(path: str) -> bool:
    """Whether the store exists. A command that only reads does not create one."""
    return Path(path).exists()


@contextmanager
def open_existing(path: str) -> Iterator[Database]:
    """Open an existing store, read-only if it cannot be written.

    Raises StoreError if it is missing or not current.
    """
    if not exists(path):
        raise StoreError(f"there is no store at {path}", hint=NO_STORE_HINT)
    database = open_for_reading(Path(path))
    try:
        migrate.require_current(database)
        yield database
    finally:
        database.close()


@contextmanager
def open_or_create(path: str, clock: Clock) -> Iterator[Database]:
    """Open the store; create or upgrade it if needed, which briefly takes the runner's lock."""
    database = Database(Path(path))
    try:
        if not migrate.is_current(database):
            _upgrade(database, clock)
        yield database
    finally:
        database.close()


def _upgrade(database: Database, clock: Clock) -> None:
    """Upgrade the store, or wait until another process has: two may start at once and both find it new."""
    deadline = time.monotonic() + _UPGRADE_SECONDS
    while not migrate.is_current(database):
        lock = RunnerLock(database.path)
        try:
            lock.acquire()
            migrate.upgrade(database, now=clock.now())
        except RunnerBusy as error:
            if time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
                continue
            raise StoreError(
                f"the store {database.path} must be upgraded, but a runner (pid {error.pid}) is using it",
                hint="wait until it ends, or stop it; then try again",
            ) from error
        finally:
            lock.close()
