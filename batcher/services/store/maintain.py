"""Maintain the store: upgrade, check, compact, back up."""

from pathlib import Path

from msgspec import Struct

from batcher.domain.errors import RunnerBusy, StoreError, UsageError
from batcher.domain.ids import JobId
from batcher.domain.messages import Cause
from batcher.files.writing import check_target, remove_left_over
from batcher.ports import Clock, Store
from batcher.services.store.open_store import (
    NEEDED_REVISION,
    damage,
    open_existing,
    open_of_any_schema,
    open_or_create,
    require,
    size_of,
)
from batcher.store.jobs import jobs
from batcher.store.reports.job_counts import count_again, is_miscounted
from batcher.store.reports.row_counts import row_counts


class Upgraded(Struct, frozen=True, kw_only=True):
    """The schema revisions. `before` is None if the file was empty."""

    before: str | None
    after: str


class StoreCheck(Struct, frozen=True, kw_only=True):
    """`batcher db check --json`."""

    store: str
    ok: bool
    problems: list[str]
    #: Jobs whose counts, as `status` shows them, are not those of their rows.
    miscounted: list[JobId]
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
    with open_of_any_schema(path) as database:
        before = database.revision()
    with open_or_create(path, clock):
        return Upgraded(before=before, after=NEEDED_REVISION)


def check(path: str) -> StoreCheck:
    """Check the whole store. Raises StoreError if the file is not a batcher store or its schema is newer."""
    require(path)
    revision, counts, miscounted = None, {}, []
    try:
        with open_of_any_schema(path) as database:
            revision = database.revision()
            problems = database.upkeep.problems()
            if not problems and revision == NEEDED_REVISION:
                with database.read() as connection:
                    counts = row_counts(connection)
                miscounted = _miscounted(database)
    except StoreError as error:
        found = damage(error)
        if found is None:
            raise
        problems = [found]
    return StoreCheck(
        store=path,
        ok=not (problems or miscounted),
        problems=problems,
        miscounted=miscounted,
        revision=revision,
        current=NEEDED_REVISION,
        counts=counts,
        bytes=size_of(path),
    )


def _miscounted(database: Store) -> list[JobId]:
    with database.read() as connection:
        of = jobs.all_jobs(connection)
    found = []
    for job in of:
        # One at a time: no snapshot is kept for long.
        with database.read() as connection:
            if is_miscounted(connection, job):
                found.append(job.id)
    return found


def backup(path: str, target: str, *, replace: bool) -> int:
    """Copy the store to one file; returns its size in bytes.

    Raises UsageError if that would overwrite something.
    """
    require(path)
    place = Path(target)
    check_target(place)
    if place.exists() and place.samefile(path):
        raise UsageError(f"{target} is the store itself", hint="name another file")
    if place.exists() and not replace:
        raise UsageError(f"{target} already exists", hint=Cause.OTHER_FILE_OR_FORCE())
    beside = [other for ending in ("-wal", "-journal") if (other := Path(f"{target}{ending}")).exists()]
    if beside:
        raise UsageError(
            f"{beside[0]} exists: {target} is a database in use, or was in use when its program was killed",
            hint="name another file",
        )
    remove_left_over(place)
    with open_of_any_schema(path) as database:
        database.upkeep.backup(place, replace=replace)
    return place.stat().st_size


def _count_again(database: Store) -> None:
    for job_id in _miscounted(database):
        with database.write() as connection:
            count_again(connection, jobs.get(connection, job_id))


def compact(path: str) -> tuple[int, int]:
    """Write the store again without free space, with counts that are right; returns its sizes before and after.

    Raises StoreError if there is no store, its schema is not current, or a runner is using it.
    """
    with open_existing(path) as database:
        role = database.coordination.runner_role()
        try:
            role.acquire()
            before = database.upkeep.size()
            _count_again(database)
            database.upkeep.compact()
            return before, database.upkeep.size()
        except RunnerBusy as busy:
            raise RunnerBusy(
                f"a runner (pid {busy.pid}) is using the store {database.name}",
                pid=busy.pid,
                hint="let it end, or stop it; then try again",
            ) from busy
        finally:
            role.close()
