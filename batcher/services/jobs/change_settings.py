"""Apply a command's flags to the settings that a job remembers."""

from collections.abc import Callable

from batcher.config import remembered_changes
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause, Words
from batcher.domain.settings import JobSettings
from batcher.ports import Store
from batcher.store.jobs import jobs


def change(
    database: Store, job: Job, resolve: Callable[[JobSettings], JobSettings], *, output_path: str | None
) -> tuple[Job, list[Words]]:
    """Store the job's new settings and output path; returns the job as stored and one line per change.

    `resolve` makes the new settings from the remembered ones. `output_path` None leaves the path as it is.
    """
    settings = resolve(job.settings)
    changes: list[Words] = [*remembered_changes(job.settings, settings)]
    if settings.cache is not job.settings.cache:
        # Which rows share an answer was decided when the job was stored.
        changes.append(Cause.CACHE_CAVEAT())
    moved = output_path is not None and output_path != job.output_path
    if moved:
        changes.append(f"results: {output_path}, was {job.output_path or 'beside the job file'}")
    if settings == job.settings and not moved:
        return job, changes
    with database.write() as connection:
        new = settings if settings != job.settings else None
        jobs.remember(connection, job.id, settings=new, output_path=output_path if moved else None)
        return jobs.get(connection, job.id), changes
