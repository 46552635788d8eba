"""The results of one job, written where a person asks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from batcher.domain.errors import NotFinished, UsageError
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.files.writing import check_target, remove_if_present, write_atomically
from batcher.services.exporting import (
    Exported,
    answered_lines,
    default_output,
    errors_beside,
    failed_lines,
    write_job,
)
from batcher.store import read
from batcher.store.engine import Database

#: The name of stdout among output files.
STDOUT: Final = "-"


def remembered_output(job: Job) -> str:
    """Where the job's results go unless another place is named."""
    return job.output_path or default_output(job.source_name)


def write(database: Database, job: Job, *, output: str | None, errors: str | None, stdout: BinaryIO) -> Exported:
    """Write the job's answers to `output` (None: where `run` would; `-`: stdout) and what failed to `errors`.

    Errors go beside the results unless a place is named; with stdout only where one is. Raises UsageError before
    anything is written: a place that cannot be written to, or that holds something dear.
    """
    if output == STDOUT:
        _check_places(database, job, [Path(errors)] if errors else [])
        failed = _write_errors(database, job, Path(errors)) if errors else 0
        answered = _stream(stdout, answered_lines(database, job))
        return Exported(results=STDOUT, errors=errors if failed else None, answered=answered, failed=failed)
    results = output or remembered_output(job)
    check_target(Path(results))
    errors = errors or errors_beside(results)
    _check_places(database, job, [Path(results), Path(errors)])
    return write_job(database, job, results=results, errors=errors)


def require_finished(database: Database, job: Job) -> None:
    """Raise NotFinished where rows of an open job are not at their end."""
    if job.state is not JobState.OPEN:
        return
    with database.read() as connection:
        counts = read.counts(connection, job)
    if counts.unfinished:
        raise NotFinished(
            f"job {job.id} ({job.name}) is not finished: {counts.unfinished:,} of {counts.total:,} rows are open",
            hint=f"`batcher resume {job.id}` goes on; --partial writes what is there",
        )


def _check_places(database: Database, job: Job, places: list[Path]) -> None:
    dear = {database.path.resolve(): "the store"}
    if job.source_path is not None:
        dear[Path(job.source_path)] = "the job file"
    for place in places:
        check_target(place)
        if place.resolve() in dear:
            raise UsageError(
                f"{place} is {dear[place.resolve()]}; it is not overwritten", hint="name another output file"
            )
    if len({place.resolve() for place in places}) < len(places):
        raise UsageError(f"results and errors would both go to {places[0]}", hint="name two files")


def _write_errors(database: Database, job: Job, place: Path) -> int:
    """The errors file alone, removed where nothing failed; returns how many lines."""
    lines = failed_lines(database, job)
    first = next(lines, None)
    if first is None:
        remove_if_present(place)
        return 0
    with write_atomically(place) as file:
        file.write(first)
        return 1 + _stream(file, lines)


def _stream(file: BinaryIO, lines: Iterator[bytes]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last number is the count
        file.write(line)
    return count
