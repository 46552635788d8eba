"""Write results and errors in input order: from the store to a temporary file, which is then renamed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from pathlib import Path
from typing import Final

from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.requests import BadLine
from batcher.domain.states import JobState
from batcher.files.writing import Writable, check_target, remove_if_present, write_atomically
from batcher.policy.output.jsonl import error_line, rejected_line, result_line
from batcher.services.results import pages
from batcher.store.jobs import jobs
from batcher.store.reports import results as stored_results
from batcher.store.reports.results import Dead
from batcher.store.sqlite.database import Database

#: Suffixes that SQLite and the locks add to the name of the store's file.
_PARTS_OF_A_STORE: Final = ("", "-wal", "-shm", "-journal", "-write", "-runner", "-loading", "-flights")


class Exported(Struct, frozen=True, kw_only=True):
    """What was written. `errors` is None if no errors file was needed."""

    results: str
    errors: str | None
    answered: int
    failed: int


def default_output(source_name: str, *, simulated: bool) -> str:
    """Return FILE's stem + `.results.jsonl`, beside FILE. Simulated answers never replace real ones."""
    ending = ".simulated.results.jsonl" if simulated else ".results.jsonl"
    if source_name == "<stdin>":
        return f"stdin{ending}"
    path = Path(source_name)
    return str(path.with_name(f"{_stem(path)}{ending}"))


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".gz", ".zst"):
        name = name.removesuffix(ending)
    return Path(name).stem if "." in name.strip(".") else name


def errors_beside(results: str) -> str:
    """`out.jsonl` → `out.errors.jsonl`; the default `x.results.jsonl` → `x.errors.jsonl`."""
    path = Path(results)
    name = path.name
    if name.endswith(".results.jsonl"):
        return str(path.with_name(name.removesuffix(".results.jsonl") + ".errors.jsonl"))
    suffix = path.suffix or ""
    return str(path.with_name(f"{path.stem}.errors{suffix or '.jsonl'}"))


def absolute(path: str | os.PathLike[str]) -> str:
    """Return the absolute path, valid from any working directory. Links are not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib leaves `..` in, or follows links


def check_places(database: Database, results: str, *, source_path: str | None, errors: str | None = None) -> None:
    """Raise UsageError if results or errors cannot be written or would overwrite the store or the job file.

    `errors` None: the errors file is beside the results.
    """
    check_target(Path(results))
    places = [Path(results), Path(errors or errors_beside(results))]
    check_files(database, places, sources=[] if source_path is None else [source_path])


def check_files(database: Database, places: Sequence[Path], *, sources: Iterable[str]) -> None:
    """Raise UsageError for a file that cannot be written, is the store or a job file, or is named twice."""
    protected = {
        database.path.with_name(database.path.name + part).resolve(): "the store" for part in _PARTS_OF_A_STORE
    }
    protected.update({Path(source).resolve(): "the job file" for source in sources})
    for place in places:
        check_target(place)
        what = protected.get(place.resolve())
        if what is not None:
            raise UsageError(f"{place} is {what}; it is not overwritten", hint="name another output file with -o")
    if len({place.resolve() for place in places}) < len(places):
        raise UsageError(f"results and errors would both go to {places[0]}", hint="name two files")


def public_request_id(job: Job, line: int) -> str:
    """Return the stable id of a line's request, in the format of OpenAI's batches."""
    return f"batch_req_{job.public_id.removeprefix('batch_')}{line:08x}"


def answered_lines(database: Database, job: Job) -> Iterator[bytes]:
    """Yield a result line for every answered request, in input order."""
    for row in pages.rows_of(database, job, stored_results.answered):
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


def failed_lines(database: Database, job: Job) -> Iterator[bytes]:
    """Yield an error line for every dead letter and every skipped line, in input order."""
    skipped: Iterator[BadLine | Dead] = pages.skipped(database, job)
    dead: Iterator[BadLine | Dead] = pages.rows_of(database, job, stored_results.dead)
    for row in merge(skipped, dead, key=lambda each: each.line):
        if isinstance(row, BadLine):
            yield rejected_line(row, request_id_public=public_request_id(job, row.line))
            continue
        yield error_line(
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


def write_job(database: Database, job: Job, *, results: str, errors: str | None = None) -> Exported:
    """Write both files; see `write_errors`."""
    errors_path = Path(errors or errors_beside(results))
    with write_atomically(Path(results)) as file:
        answered = write_lines(file, answered_lines(database, job))
    failed = write_errors(database, job, errors_path)
    if job.wanted and job.state is JobState.COMPLETED and not database.is_read_only:
        with database.write() as connection:
            jobs.written(connection, job.id)
    return Exported(results=results, errors=str(errors_path) if failed else None, answered=answered, failed=failed)


def write_errors(database: Database, job: Job, place: Path) -> int:
    """Write the errors file; returns its number of lines.

    If nothing failed, remove an older one, which would mislead.
    """
    lines = failed_lines(database, job)
    first = next(lines, None)
    if first is None:
        remove_if_present(place)
        return 0
    with write_atomically(place) as file:
        file.write(first)
        return 1 + write_lines(file, lines)


def write_lines(file: Writable, lines: Iterator[bytes]) -> int:
    """Write all lines; returns how many."""
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the count
        file.write(line)
    return count
