"""What a job remembers, and what a command's flags change of it."""

from collections.abc import Callable
from typing import Final

from batcher.config import remembered_changes
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.store.jobs import jobs
from batcher.store.sqlite.database import Database

#: Said beside a change of the cache mode: followers found their leader when the job was stored.
_CACHE_CAVEAT: Final = (
    "matters for answers of earlier jobs alone: rows of the job go on sharing, --new matches them anew"
)


def change(
    database: Database, job: Job, resolve: Callable[[JobSettings], JobSettings], *, output_path: str | None
) -> tuple[Job, list[str]]:
    """Lay a command's settings over what the job remembers; returns the job as it is now and what changed.

    `resolve` gives the new settings from the remembered ones.
    """
    settings = resolve(job.settings)
    changes = remembered_changes(job.settings, settings)
    if settings.cache is not job.settings.cache:
        changes.append(_CACHE_CAVEAT)
    moved = output_path is not None and output_path != job.output_path
    if moved:
        changes.append(f"results: {output_path}, was {job.output_path or 'beside the file'}")
    if settings == job.settings and not moved:
        return job, changes
    with database.write() as connection:
        new = settings if settings != job.settings else None
        jobs.remember(connection, job.id, settings=new, output_path=output_path if moved else None)
        return jobs.get(connection, job.id), changes
