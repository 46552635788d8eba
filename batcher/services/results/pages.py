"""Reads a job page by page: no transaction is open while a consumer handles a page.

A read transaction keeps SQLite from reusing its log. A consumer may stop reading (`batcher results -o - | less`)
while a runner writes, and the log would grow until it goes on.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from batcher.domain.errors import UnknownJob
from batcher.domain.ids import RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.requests import Answered, BadLine, CancelledRow, Dead
from batcher.ports import Store
from batcher.store.reports import results

#: Rows of a page, and the bytes of their replies after which it ends early; both are in memory together.
ROWS: Final = 4_000
BYTES: Final = 8 << 20

_Row = TypeVar("_Row", Answered, Dead, CancelledRow)


def answered(database: Store, job: Job, *, most: int | None = None) -> Iterator[Answered]:
    """Yield the job's answers, each once, in input order. A page has `most` of them.

    A row that ends meanwhile may be among them or not. Raises UnknownJob if the job is deleted meanwhile: what is
    left of it would look like a complete result.
    """
    return _rows_of(database, job, results.answered, most=most)


def dead(database: Store, job: Job, *, most: int | None = None) -> Iterator[Dead]:
    """Yield the job's dead letters in the same way."""
    return _rows_of(database, job, results.dead, most=most)


def cancelled(database: Store, job: Job) -> Iterator[CancelledRow]:
    """Yield the rows that were cancelled before they were answered in the same way."""
    return _rows_of(database, job, results.cancelled, most=None)


def some(database: Store, ids: Sequence[RequestId]) -> list[Answered | Dead]:
    """Return those of these requests that are settled, in input order, as many as a page holds."""
    with database.read() as connection:
        return results.some(connection, ids, most_bytes=BYTES)


def _rows_of(
    database: Store, job: Job, of_kind: Callable[[Any, Job], Iterator[_Row]], *, most: int | None
) -> Iterator[_Row]:
    rest: Job | None = job
    while rest is not None:
        with database.read(flushed=True) as connection:
            _require_present(connection, job)
            page, is_last = _page(of_kind(connection, rest), most or ROWS)
        yield from page
        rest = None if is_last else replace(rest, first_request=RequestId(page[-1].request_id + 1))


def skipped(database: Store, job: Job) -> Iterator[BadLine]:
    """Yield the lines that `--skip-invalid` skipped, in file order."""
    after = 0
    while True:
        with database.read(flushed=True) as connection:
            page = results.skipped(connection, job.id, after=after, most=ROWS)
        yield from page
        if len(page) < ROWS:
            return
        after = page[-1].line


def _page(rows: Iterator[_Row], most: int) -> tuple[list[_Row], bool]:
    """Return the next page, and whether it is the last."""
    page: list[_Row] = []
    size = 0
    for row in rows:
        page.append(row)
        size += results.size_of(row)
        if len(page) == most or size >= BYTES:
            return page, False
    return page, True


def _require_present(connection: Any, job: Job) -> None:  # noqa: ANN401 - a connection of the store
    if not results.is_whole(connection, job):
        raise UnknownJob(
            f"job {job.id} ({job.name}) was deleted, or its deletion has begun",
            hint=Cause.FINISH_DELETION(job=job.id),
        )
