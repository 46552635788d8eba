"""Open the store for a command: the one module that knows which engine keeps it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from batcher.domain.errors import RunnerBusy, StoreError
from batcher.domain.messages import Cause
from batcher.ports import Clock, Store
from batcher.store.sqlite import maintenance, migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.read_only import open_for_reading
from batcher.store.sqlite.store_port import file_size, log_of

#: What to do if no store is at the path.
NO_STORE_HINT: Final = Cause.NO_STORE()
#: The schema's revision that this program needs.
NEEDED_REVISION: Final = migrate.HEAD
#: The command that saves what can be read of a damaged store.
RECOVERY: Final = maintenance.RECOVERY
#: Longest wait for another process's upgrade. A process that holds the store for longer is a runner.
_UPGRADE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def exists(path: str) -> bool:
    """Whether the store exists. A command that only reads does not create one."""
    return Path(path).exists()


def require(path: str) -> None:
    """Raise StoreError if the store does not exist."""
    if not exists(path):
        raise StoreError(f"there is no store at {path}", hint=NO_STORE_HINT)


def engine_version() -> str:
    """Return the version of the library that keeps the store."""
    return maintenance.sqlite_version()


def damage(error: StoreError) -> str | None:
    """Return what is wrong if the error means that the store is damaged; None if it means something else."""
    return maintenance.damage(error)


def size_of(path: str) -> int:
    """Return the size of the store in bytes, without opening it."""
    return file_size(Path(path))


def log_size(path: str) -> int:
    """Return the size of the store's log in bytes, without opening it."""
    log = log_of(Path(path))
    return log.stat().st_size if log.exists() else 0


@contextmanager
def open_of_any_schema(path: str) -> Iterator[Store]:
    """Open an existing store to examine or copy it, read-only if it cannot be written."""
    require(path)
    with closing(open_for_reading(Path(path))) as database:
        yield database


@contextmanager
def open_existing(path: str) -> Iterator[Store]:
    """Open an existing store, read-only if it cannot be written.

    Raises StoreError if it is missing or not current.
    """
    require(path)
    database = open_for_reading(Path(path))
    try:
        migrate.require_current(database)
        yield database
    finally:
        database.close()


@contextmanager
def open_or_create(path: str, clock: Clock) -> Iterator[Store]:
    """Open the store; create or upgrade it if needed, which briefly takes the runner's role."""
    database = Database(Path(path))
    try:
        if not database.is_current():
            _upgrade(database, clock)
        yield database
    finally:
        database.close()


def _upgrade(database: Store, clock: Clock) -> None:
    """Upgrade the store, or wait until another process has: two may start at once and both find it new."""
    deadline = time.monotonic() + _UPGRADE_SECONDS
    while not database.is_current():
        role = database.coordination.runner_role()
        try:
            role.acquire()
            database.upgrade(now=clock.now())
        except RunnerBusy as error:
            if time.monotonic() < deadline:
                time.sleep(_LOOK_SECONDS)
                continue
            raise StoreError(
                f"the store {database.name} must be upgraded, but a runner (pid {error.pid}) is using it",
                hint="wait until it ends, or stop it; then try again",
            ) from error
        finally:
            role.close()
