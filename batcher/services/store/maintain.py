"""Maintain the store: upgrade, check, compact, back up."""

from contextlib import closing
from pathlib import Path

from msgspec import Struct

from batcher.domain.errors import RunnerBusy, StoreError, UsageError
from batcher.files.writing import check_target, remove_left_over
from batcher.ports import Clock
from batcher.services.store.open_store import NO_STORE_HINT, exists, open_existing, open_or_create
from batcher.store.sqlite import maintenance, migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from batcher.store.sqlite.read_only import open_for_reading


class Upgraded(Struct, frozen=True, kw_only=True):
    """The schema revisions. `before` is None if the file was empty."""

    before: str | None
    after: str


class StoreCheck(Struct, frozen=True, kw_only=True):
    """`batcher db check --json`."""

    store: str
    ok: bool
    problems: list[str]
    #: The store's schema revision, and the revision that this program needs.
    revision: str | None
    current: str
    counts: dict[str, int]
    #: Size of the file and its write-ahead log.
    bytes: int


def upgrade(path: str, clock: Clock) -> Upgraded:
    """Upgrade the store to this program's schema.

    Raises StoreError if there is no store, its schema is newer, or a runner is using it.
    """
    before = _revision(path)
    with open_or_create(path, clock):
        return Upgraded(before=before, after=migrate.HEAD)


def check(path: str) -> StoreCheck:
    """Check the whole store. Raises StoreError if the file is not a batcher store or its schema is newer."""
    _require(path)
    revision, counts = None, {}
    try:
        with closing(open_for_reading(Path(path))) as database, database.read() as connection:
            revision = migrate.check_known(connection, database.path)
            problems = maintenance.problems(connection)
            if not problems and revision == migrate.HEAD:
                counts = maintenance.row_counts(connection)
    except StoreError as error:
        damage = maintenance.damage(error)
        if damage is None:
            raise
        problems = [damage]
    return StoreCheck(
        store=path,
        ok=not problems,
        problems=problems,
        revision=revision,
        current=migrate.HEAD,
        counts=counts,
        bytes=_size(Path(path)),
    )


def backup(path: str, target: str, *, replace: bool) -> int:
    """Copy the store to one file; returns its size in bytes.

    Raises UsageError if that would overwrite something.
    """
    _require(path)
    place = Path(target)
    check_target(place)
    if place.exists() and place.samefile(path):
        raise UsageError(f"{target} is the store itself", hint="name another file")
    if place.exists() and not replace:
        raise UsageError(f"{target} already exists", hint="name another file, or give --force")
    beside = [other for ending in ("-wal", "-journal") if (other := Path(f"{target}{ending}")).exists()]
    if beside:
        raise UsageError(
            f"{beside[0]} exists: {target} is a database in use, or was in use when its program was killed",
            hint="name another file",
        )
    remove_left_over(place)
    with closing(open_for_reading(Path(path))) as database:
        maintenance.backup(database, place, replace=replace)
    return place.stat().st_size


def compact(path: str) -> tuple[int, int]:
    """Write the store again without free space; returns its sizes in bytes before and after.

    Raises StoreError if there is no store, its schema is not current, or a runner is using it.
    """
    _require(path)
    with open_existing(path) as database:
        lock = RunnerLock(database.path)
        try:
            lock.acquire()
            before = _size(database.path)
            maintenance.compact(database)
            return before, _size(database.path)
        except RunnerBusy as busy:
            raise RunnerBusy(
                f"a runner (pid {busy.pid}) is using the store {database.path}",
                pid=busy.pid,
                hint="let it end, or stop it; then try again",
            ) from busy
        finally:
            lock.close()


def _require(path: str) -> None:
    if not exists(path):
        raise StoreError(f"there is no store at {path}", hint=NO_STORE_HINT)


def _revision(path: str) -> str | None:
    _require(path)
    with closing(Database(Path(path))) as database, database.read() as connection:
        return migrate.check_known(connection, database.path)


def _size(path: Path) -> int:
    """Return the size by name, without opening the files: closing them would drop SQLite's locks."""
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
