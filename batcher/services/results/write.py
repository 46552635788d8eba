"""The results of one job, written where a person asks for them."""

from pathlib import Path
from typing import Final

from batcher.domain.errors import NotFinished
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.files.writing import Writable
from batcher.services.results.export import (
    Exported,
    answered_lines,
    check_files,
    check_places,
    default_output,
    write_errors,
    write_job,
    write_lines,
)
from batcher.store.reports import job_counts
from batcher.store.sqlite.database import Database

#: The name of stdout among output files.
STDOUT: Final = "-"


def remembered_output(job: Job) -> str:
    """Where the job's results go unless another place is named."""
    return job.output_path or default_output(job.source_name, simulated=job.settings.simulate)


def write(database: Database, job: Job, *, output: str | None, errors: str | None, stdout: Writable) -> Exported:
    """Write the job's answers to `output` (None: where `run` would; `-`: stdout) and what failed to `errors`.

    Errors go beside the results unless a place is named; with stdout only where one is. Raises UsageError before
    anything is written: a place that cannot be written to, or that holds something dear.
    """
    if output == STDOUT:
        if errors is not None:
            sources = [] if job.source_path is None else [job.source_path]
            check_files(database, [Path(errors)], sources=sources)
        failed = write_errors(database, job, Path(errors)) if errors is not None else 0
        answered = write_lines(stdout, answered_lines(database, job))
        return Exported(results=STDOUT, errors=errors if failed else None, answered=answered, failed=failed)
    results = output or remembered_output(job)
    check_places(database, results, errors=errors, source_path=job.source_path)
    return write_job(database, job, results=results, errors=errors)


def require_finished(database: Database, job: Job) -> None:
    """Raise NotFinished where rows of an open job are not at their end."""
    if job.state is not JobState.OPEN:
        return
    with database.read() as connection:
        counts = job_counts.counts(connection, job)
    if counts.unfinished:
        raise NotFinished(
            f"job {job.id} ({job.name}) is not finished: {counts.unfinished:,} of {counts.total:,} rows are open",
            hint=f"`batcher resume {job.id}` goes on; --partial writes what is there",
        )
