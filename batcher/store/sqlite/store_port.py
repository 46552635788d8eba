"""What `ports.Store` asks of a SQLite store beside transactions."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from batcher.domain.ids import HolderId
from batcher.domain.requests import SentClaims
from batcher.ports import Coordination, RunnerRole, Upkeep, Writer
from batcher.store.sqlite.file_locks import LoadingLock, RunnerLock, runner_is_live
from batcher.store.sqlite.in_flight_log import FileInFlightLog, last_sent

if TYPE_CHECKING:
    from batcher.store.sqlite.database import Database

#: The store's file, SQLite's files beside it, and ours.
_FILES: Final = ("", "-wal", "-shm", "-journal", "-write", "-runner", "-loading", "-flights")
#: Pages of 4 KiB that are given back in one transaction.
_RECLAIMED_AT_ONCE = 1_000


class StorePort:
    """The base of a store, which is the file at `path`."""

    path: Path
    is_read_only = False

    @property
    def name(self) -> str:
        """See `ports.Store`."""
        return str(self.path)

    @property
    def files(self) -> Sequence[Path]:
        """See `ports.Store`."""
        return [self.path.with_name(self.path.name + part) for part in _FILES]

    @property
    def coordination(self) -> Coordination:
        """See `ports.Store`."""
        return FileCoordination(self.path, is_read_only=self.is_read_only)

    @property
    def upkeep(self) -> Upkeep:
        """See `ports.Store`."""
        return FileUpkeep(self._database())

    def revision(self) -> str | None:
        """See `ports.Store`."""
        from batcher.store.sqlite import migrate  # noqa: PLC0415 - it uses the store

        with self._database().read() as connection:
            return migrate.check_known(connection, self.path)

    def is_current(self) -> bool:
        """See `ports.Store`."""
        from batcher.store.sqlite import migrate  # noqa: PLC0415 - it uses the store

        return migrate.is_current(self._database())

    def upgrade(self, *, now: int) -> None:
        """See `ports.Store`."""
        from batcher.store.sqlite import migrate  # noqa: PLC0415 - it uses the store

        migrate.upgrade(self._database(), now=now)

    def start_writer(self) -> Writer:
        """See `ports.Store`."""
        from batcher.store.sqlite.writer_thread import StoreThread  # noqa: PLC0415 - it uses the store

        return StoreThread(self._database())

    def _database(self) -> "Database":
        return cast("Database", self)


class FileCoordination:
    """`ports.Coordination` by locks on files beside the store."""

    def __init__(self, store: Path, *, is_read_only: bool) -> None:
        self._store = store
        self._is_read_only = is_read_only

    def runner_role(self) -> RunnerRole:
        """See `ports.Coordination`."""
        return RunnerLock(self._store)

    def live_runner(self) -> int | None:
        """See `ports.Coordination`."""
        if self._is_read_only:
            return 0 if runner_is_live(self._store) else None
        lock = RunnerLock(self._store)
        try:
            return (lock.pid() or 0) if lock.is_live() else None
        finally:
            lock.close()

    @contextmanager
    def loading(self, if_alone: Callable[[], None]) -> Iterator[None]:
        """See `ports.Coordination`."""
        lock = LoadingLock(self._store)
        try:
            with lock.held_if_free() as alone:
                if alone:
                    if_alone()
            with lock.shared():
                yield
        finally:
            lock.close()

    def last_sent(self, *, boot: str | None) -> SentClaims | None:
        """See `ports.Coordination`."""
        return last_sent(self._store, boot=boot)

    def in_flight_log(self, *, holder: HolderId, boot: str | None) -> FileInFlightLog:
        """See `ports.Coordination`."""
        return FileInFlightLog(self._store, holder=holder, boot=boot)


def log_of(store: Path) -> Path:
    """Return the write-ahead log of a store's file."""
    return Path(f"{store}-wal")


def file_size(store: Path) -> int:
    """Return the size of the file and its log by name: closing them, if they were opened, drops SQLite's locks."""
    files = (store, log_of(store))
    return sum(file.stat().st_size for file in files if file.exists())


class FileUpkeep:
    """`ports.Upkeep` of the file."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    def problems(self) -> list[str]:
        """See `ports.Upkeep`."""
        from batcher.store.sqlite import maintenance  # noqa: PLC0415 - it uses the store

        with self._database.read() as connection:
            return maintenance.problems(connection)

    def size(self) -> int:
        """See `ports.Upkeep`."""
        return file_size(self._database.path)

    def backup(self, target: Path, *, replace: bool) -> None:
        """See `ports.Upkeep`."""
        from batcher.store.sqlite import maintenance  # noqa: PLC0415 - it uses the store

        maintenance.backup(self._database, target, replace=replace)

    def compact(self) -> None:
        """See `ports.Upkeep`."""
        from batcher.store.sqlite import maintenance  # noqa: PLC0415 - it uses the store

        maintenance.compact(self._database)

    def reclaim_some(self) -> bool:
        """See `ports.Upkeep`."""
        from batcher.store.sqlite import maintenance  # noqa: PLC0415 - it uses the store

        with self._database.write() as connection:
            return maintenance.reclaim_some(connection, _RECLAIMED_AT_ONCE)
