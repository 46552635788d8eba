"""Export dead letters as a job file that can be run again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Message
from batcher.domain.requests import Filters
from batcher.files.writing import Writable, is_stdout, is_stream, open_stream, write_atomically
from batcher.policy.output.jsonl import job_line
from batcher.ports import Store
from batcher.services.dead_letters.means import endpoint_of
from batcher.services.dead_letters.retry import matching_ids
from batcher.services.results import pages
from batcher.services.results.export import write_lines
from batcher.services.results.places import check_files
from batcher.store.dead_letters import export
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.jobs import jobs


class Extracted(Struct, frozen=True, kw_only=True):
    """What was written, and the endpoint where the jobs went; None if they went apart."""

    count: int
    endpoint: Message | None


def extract(database: Store, filters: Filters, *, output: str, stdout: Writable, force: bool = False) -> Extracted:
    """Write the matching dead letters to `output` (`-`: stdout) in file order; no file if there are none.

    Raises UsageError before writing: for a named request that is not a dead letter, a custom_id that occurs in
    several jobs, a file that must not be written, or, without `force`, one that exists: it may have been edited by
    hand.
    """
    matching_ids(database, filters)
    with database.read(flushed=True) as connection:
        of = list(dead_letter_filters.by_job(connection, filters))
        found = [jobs.get(connection, each) for each in of]
        shared = export.shared_custom_id(connection, filters) if len(of) > 1 else None
    if shared is not None:
        first, last = shared.jobs
        raise UsageError(
            f'custom_id "{shared.custom_id}" occurs in job {first} and in job {last}; it must be unique in a file',
            hint=Cause.EXPORT_ONE_JOB(job=first),
        )
    if is_stdout(output):
        count = write_lines(stdout, _lines(database, filters))
        return Extracted(count=count, endpoint=_shared_endpoint(found))
    if is_stream(output):
        with open_stream(output) as stream:
            return Extracted(
                count=write_lines(stream, _lines(database, filters)), endpoint=_shared_endpoint(found)
            )
    check_files(database, [Path(output)])
    if Path(output).exists() and not force:
        raise UsageError(f"{output} already exists", hint=Cause.OTHER_OUTPUT_OR_FORCE())
    if not of:
        return Extracted(count=0, endpoint=None)
    with write_atomically(Path(output)) as file:
        count = write_lines(file, _lines(database, filters))
    return Extracted(count=count, endpoint=_shared_endpoint(found))


def _shared_endpoint(found: Sequence[Job]) -> Message | None:
    options = {endpoint_of(job) for job in found}
    return options.pop() if len(options) == 1 else None


def _lines(database: Store, filters: Filters) -> Iterator[bytes]:
    """Yield the lines page by page: no transaction is open while a consumer handles them (see `results.pages`)."""
    with database.read(flushed=True) as connection:
        ids = dead_letter_filters.ids(connection, filters)
    at = 0
    while at < len(ids):
        with database.read(flushed=True) as connection:
            page, read = export.lines(connection, ids[at : at + pages.ROWS], most_bytes=pages.BYTES)
        at += read
        for line in page:
            yield job_line(line.custom_id, line.path, line.body)
