"""Find the jobs for `resume`, and apply its flags to their settings."""

from collections.abc import Mapping, Sequence

from batcher.cli.flows.submit import check_credentials
from batcher.config import FileSettings, Flags, resolve_job
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.services.jobs import change_settings
from batcher.services.results.places import absolute, check_places
from batcher.store.jobs import jobs
from batcher.store.sqlite.database import Database


def select_jobs(database: Database, named: Sequence[str]) -> list[Job]:
    """Find the jobs by number or name, each once; all unfinished jobs if none is named. Raises UnknownJob."""
    with database.read() as connection:
        if not named:
            return jobs.unfinished(connection)
        found = {job.id: job for job in (jobs.find(connection, name) for name in named)}
        return list(found.values())


def apply_flags(
    database: Database,
    job: Job,
    flags: Flags,
    output: str | None,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
    alone: bool,
) -> tuple[Job, list[str]]:
    """Apply the flags to the job's settings; return the job and a description of each change.

    Raises ConfigError for a wrong setting or missing credentials, and UsageError for an output that cannot be
    used, before anything runs.
    """
    if output is not None and not alone:
        raise UsageError("-o names one file, but several jobs would run", hint="name one job")
    path = None if output is None else absolute(output)
    if path is not None:
        check_places(database, path, source_path=job.source_path)

    def resolve(remembered: JobSettings) -> JobSettings:
        settings = resolve_job(flags, remembered=remembered, environ=environ, file=config)
        if job.state is JobState.OPEN:
            check_credentials(settings, environ)
        return settings

    return change_settings.change(database, job, resolve, output_path=path)
