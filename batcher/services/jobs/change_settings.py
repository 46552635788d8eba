"""Apply a command's flags to the settings that a job remembers."""

from collections.abc import Callable
from typing import Final

from batcher.config import remembered_changes
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.ports import Store
from batcher.store.jobs import jobs

#: Printed if the cache mode changes: which rows share an answer was decided when the job was stored.
_CACHE_CAVEAT: Final = (
    "applies only to answers of earlier jobs: rows of this job go on sharing answers; --new matches its rows again"
)


def change(
    database: Store, job: Job, resolve: Callable[[JobSettings], JobSettings], *, output_path: str | None
) -> tuple[Job, list[str]]:
    """Store the job's new settings and output path; returns the job as stored and one line per change.

    `resolve` makes the new settings from the remembered ones. `output_path` None leaves the path as it is.
    """
    settings = resolve(job.settings)
    changes = remembered_changes(job.settings, settings)
    if settings.cache is not job.settings.cache:
        changes.append(_CACHE_CAVEAT)
    moved = output_path is not None and output_path != job.output_path
    if moved:
        changes.append(f"results: {output_path}, was {job.output_path or 'beside the job file'}")
    if settings == job.settings and not moved:
        return job, changes
    with database.write() as connection:
        new = settings if settings != job.settings else None
        jobs.remember(connection, job.id, settings=new, output_path=output_path if moved else None)
        return jobs.get(connection, job.id), changes
