"""Write results and errors in input order: from the store to a temporary file, which is then renamed."""

from collections.abc import Iterator
from heapq import merge
from pathlib import Path

from msgspec import Struct

from batcher.domain.jobs import Job
from batcher.domain.requests import BadLine, CancelledRow, Dead
from batcher.domain.states import JobState
from batcher.files.authorship import NotOfAJob, author_of
from batcher.files.writing import Writable, remove_if_present, write_atomically
from batcher.policy.output.jsonl import cancelled_line, error_line, rejected_line, result_line
from batcher.ports import Store
from batcher.services.results import pages
from batcher.services.results.places import errors_beside, keep_earlier
from batcher.store.jobs import jobs


class Exported(Struct, frozen=True, kw_only=True):
    """What was written. `errors` is None if no errors file was needed."""

    results: str
    errors: str | None
    answered: int
    failed: int
    #: Where files of other jobs that were in these places have been moved.
    kept: list[str] = []


def public_request_id(job: Job, line: int) -> str:
    """Return the stable id of a line's request, in the format of OpenAI's batches."""
    return f"batch_req_{job.public_id.removeprefix('batch_')}{line:08x}"


def answered_lines(database: Store, job: Job) -> Iterator[bytes]:
    """Yield a result line for every answered request, in input order."""
    for row in pages.answered(database, job):
        yield result_line(
            request_id_public=public_request_id(job, row.line),
            custom_id=row.custom_id,
            status=row.status,
            provider_request_id=row.provider_request_id,
            body=row.body,
            cached=row.cached,
            attempts=row.attempts,
            latency_us=row.latency_us,
            answered_by=row.answered_by,
            marks=row.marks,
        )


def failed_lines(database: Store, job: Job) -> Iterator[bytes]:
    """Yield a line for every dead letter, cancelled row and skipped line, in input order."""
    kinds = (
        ((row.line, _dead_line(job, row)) for row in pages.dead(database, job)),
        ((row.line, _cancelled_line(job, row)) for row in pages.cancelled(database, job)),
        ((bad.line, _rejected_line(job, bad)) for bad in pages.skipped(database, job)),
    )
    for _, line in merge(*kinds):
        yield line


def _dead_line(job: Job, row: Dead) -> bytes:
    return error_line(
        request_id_public=public_request_id(job, row.line),
        custom_id=row.custom_id,
        status=row.status,
        provider_request_id=row.provider_request_id,
        body=row.reply,
        code=row.code,
        message=row.message,
        kind=row.kind,
        cached=False,
        attempts=row.attempts,
        latency_us=row.latency_us,
        answered_by=None,
    )


def _cancelled_line(job: Job, row: CancelledRow) -> bytes:
    return cancelled_line(
        request_id_public=public_request_id(job, row.line),
        custom_id=row.custom_id,
        attempts=row.attempts,
    )


def _rejected_line(job: Job, bad: BadLine) -> bytes:
    return rejected_line(bad, request_id_public=public_request_id(job, bad.line))


def write_job(database: Store, job: Job, *, results: str, errors: str | None = None) -> Exported:
    """Write both files; see `write_errors`. Files of other jobs in their places are kept under other names."""
    places = [Path(results), Path(errors or errors_beside(results))]
    kept: list[Path] = []

    def keep() -> None:
        kept.extend(keep_earlier(places, public_id=job.public_id))

    with write_atomically(places[0], before_replacing=keep) as file:
        answered = write_lines(file, answered_lines(database, job))
    failed = write_errors(database, job, places[1])
    if job.wanted and job.state is JobState.COMPLETED and not database.is_read_only:
        with database.write() as connection:
            jobs.written(connection, job.id)
    return Exported(
        results=results,
        errors=str(places[1]) if failed else None,
        answered=answered,
        failed=failed,
        kept=[str(place) for place in kept],
    )


def write_errors(database: Store, job: Job, place: Path) -> int:
    """Write the errors file; returns its number of lines.

    If nothing failed, remove the one that this job wrote before, which would mislead.
    """
    lines = failed_lines(database, job)
    first = next(lines, None)
    if first is None:
        author = author_of(place)
        if not isinstance(author, NotOfAJob) and author.is_job(job.public_id) and not author.is_result:
            remove_if_present(place)
        return 0
    with write_atomically(place, before_replacing=lambda: _keep_one(place, job)) as file:
        file.write(first)
        return 1 + write_lines(file, lines)


def _keep_one(place: Path, job: Job) -> None:
    keep_earlier([place], public_id=job.public_id)


def write_lines(file: Writable, lines: Iterator[bytes]) -> int:
    """Write all lines; returns how many."""
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the count
        file.write(line)
    return count
