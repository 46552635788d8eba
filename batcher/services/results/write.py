"""Write the results of one job to a file or to stdout."""

from contextlib import nullcontext
from pathlib import Path
from typing import Final

from batcher.domain.errors import NotFinished
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.states import JobState
from batcher.files.writing import Writable, is_stdout, is_stream, open_stream
from batcher.ports import Store
from batcher.services.results.export import (
    Exported,
    answered_lines,
    failed_lines,
    write_errors,
    write_job,
    write_lines,
)
from batcher.services.results.places import check_author, check_files, check_places, default_output, remembered_by
from batcher.store.reports import job_counts

#: The output file name that means stdout.
STDOUT: Final = "-"


def remembered_output(job: Job) -> str:
    """Return where the job's results go if no other file is named."""
    return job.output_path or default_output(job.source_name, simulated=job.settings.simulate)


def write(database: Store, job: Job, *, output: str | None, errors: str | None, stdout: Writable) -> Exported:
    """Write the job's answers to `output` (None: where `run` would; `-`: stdout) and its errors to `errors`.

    `errors` None: the errors file is beside the results; with stdout, a pipe or a device, no errors are written.
    Raises UsageError before anything is written if a file cannot be written or would overwrite the store or the
    job file.
    """
    if output is not None and is_stdout(output):
        return _write_stream(database, job, stdout, name=STDOUT, errors=errors)
    if output is not None and is_stream(output):
        with open_stream(output) as stream:
            return _write_stream(database, job, stream, name=output, errors=errors)
    results = output or remembered_output(job)
    may_fail = _has_failed(database, job)
    with nullcontext() if output else remembered_by(job, results):
        check_places(database, results, errors=errors, source_path=job.source_path, may_fail=may_fail)
    return write_job(database, job, results=results, errors=errors)


def _write_stream(database: Store, job: Job, stream: Writable, *, name: str, errors: str | None) -> Exported:
    """Write the answers to what is not a file, and the errors only where `errors` names one."""
    if errors is not None:
        check_files(database, [Path(errors)])
        if _has_failed(database, job):
            check_author(Path(errors), of_errors=True)
    failed = write_errors(database, job, Path(errors)) if errors is not None else 0
    answered = write_lines(stream, answered_lines(database, job))
    return Exported(results=name, errors=errors if failed else None, answered=answered, failed=failed)


def _has_failed(database: Store, job: Job) -> bool:
    return next(failed_lines(database, job), None) is not None


def require_finished(database: Store, job: Job) -> None:
    """Raise NotFinished if the job is open and has unfinished rows."""
    if job.state is not JobState.OPEN:
        return
    with database.read() as connection:
        counts = job_counts.counts(connection, job)
    if counts.unfinished:
        raise NotFinished(
            f"job {job.id} ({job.name}) is not finished: {counts.unfinished:,} of {counts.total:,} rows left",
            hint=Cause.FINISH_FIRST(job=job.id),
        )
