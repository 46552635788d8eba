"""The counts of each job, kept as its rows change: a status of a million rows costs what one of a thousand does.

Every operation that changes rows collects here what changes, and adds it in the same transaction, by one statement
for each job of it. It only adds, so that nothing depends on a value that was read before.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import astuple
from sqlalchemy import Connection, bindparam, delete, func, select

from batcher.domain.ids import JobId
from batcher.domain.jobs import JobTotals
from batcher.domain.states import RequestState
from batcher.store.compiled import Compiled
from batcher.store.dialect import insert_or_add
from batcher.store.schema import job_counts

_COLUMNS = JobTotals.__struct_fields__
_add = Compiled(
    insert_or_add(job_counts, key=["job_id", "part"], added=_COLUMNS).values(
        {name: bindparam(name) for name in ("job_id", "part", *_COLUMNS)}
    ),
    "job_id",
    "part",
    *_COLUMNS,
)
_select = Compiled(
    select(*(func.coalesce(func.sum(job_counts.c[name]), 0).label(name) for name in _COLUMNS)).where(
        job_counts.c.job_id == bindparam("job")
    ),
    "job",
)


class CountChanges:
    """What changes in one transaction. `part` is the holder that changes it, or 0."""

    def __init__(self, part: int = 0) -> None:
        self._part = part
        self._by_job: dict[JobId, JobTotals] = {}

    def of(self, job_id: JobId) -> JobTotals:
        """Return what changes of a job, to add to it."""
        found = self._by_job.get(job_id)
        if found is None:
            found = self._by_job[job_id] = JobTotals()
        return found

    def move(self, job_ids: Iterable[JobId], before: RequestState, after: RequestState) -> None:
        """Count rows that change from one state to another; each is given by its job."""
        for job_id, rows in Counter(job_ids).items():
            self.move_rows(job_id, rows, before, after)

    def move_rows(self, job_id: JobId, rows: int, before: RequestState, after: RequestState) -> None:
        """Count so many rows of a job that change from one state to another."""
        change = self.of(job_id)
        setattr(change, before.value, getattr(change, before.value) - rows)
        setattr(change, after.value, getattr(change, after.value) + rows)

    def give_back_sends(self, job_ids: Iterable[JobId]) -> None:
        """Count claims that were never sent, each by its job: their attempt numbers are given back."""
        for job_id, claims in Counter(job_ids).items():
            self.of(job_id).sends -= claims

    def share_answers(self, rows: Iterable[tuple[JobId, int]]) -> None:
        """Count pending rows that get an answer without a request: each by its job and the marks of the answer."""
        for (job_id, marks), number in Counter(rows).items():
            self.move_rows(job_id, number, RequestState.PENDING, RequestState.COMPLETED)
            change = self.of(job_id)
            change.cached += number
            change.add_marks(marks, number)

    def write(self, connection: Connection) -> None:
        """Add everything to the kept counts, job by job in their order. It must be done once, at the end."""
        for job_id in sorted(self._by_job):
            _add.run(connection, job_id, self._part, *astuple(self._by_job[job_id]))


def kept(connection: Connection, job_id: JobId) -> JobTotals:
    """Return the counts of a job."""
    (row,) = _select.rows(connection, job_id)
    return JobTotals(**row._asdict())


def take_away(connection: Connection, job_id: JobId, totals: JobTotals) -> None:
    """Take away what was counted of rows that are removed."""
    _add.run(connection, job_id, 0, *(-count for count in astuple(totals)))


def replace(connection: Connection, job_id: JobId, totals: JobTotals) -> None:
    """Give a job these counts instead of those that are kept."""
    connection.execute(delete(job_counts).where(job_counts.c.job_id == job_id))
    _add.run(connection, job_id, 0, *astuple(totals))
