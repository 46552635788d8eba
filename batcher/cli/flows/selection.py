"""Find the jobs for `resume`, and apply its flags to their settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from batcher.cli.flows.job_errors import errors_named
from batcher.cli.flows.submit import check_credentials
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import display_path
from batcher.config import FileSettings, Flags, resolve_job
from batcher.config.table import API_KEY_ENV, BASE_URL
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.messages import Words
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.policy.urls import shown_base_url
from batcher.ports import Store
from batcher.services.jobs import change_settings, manage
from batcher.services.results.places import absolute, check_places, remembered_by
from batcher.services.results.write import remembered_output


def select_jobs(database: Store, named: Sequence[str]) -> list[Job]:
    """Find the jobs by number or name, each once; all unfinished jobs if none is named. Raises UnknownJob."""
    if not named:
        return manage.unfinished(database)
    return list({job.id: job for job in (manage.find(database, name) for name in named)}.values())


class Prepared(Struct, frozen=True, kw_only=True):
    """The jobs that can run, under their new settings, and those that cannot with what each needs."""

    ready: list[Job]
    changes: list[str]
    blocked: list[tuple[Job, UsageError]]


def prepare(
    database: Store,
    found: Sequence[Job],
    flags: Flags,
    output: str | None,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
    are_named: bool,
) -> Prepared:
    """Apply the flags to the settings of each job; what keeps one job from running does not keep the others.

    Raises UsageError if the flags cannot mean several jobs, or if none can run: nothing is changed then.
    """
    if output is not None and len(found) > 1:
        raise UsageError("-o names one file, but several jobs would run", hint="name one job")
    _check_values(flags, environ)
    _refuse_to_move_several(found, flags, are_named=are_named)
    prepared = Prepared(ready=[], changes=[], blocked=[])
    # Of two jobs with the same results file the newer one runs.
    for job in sorted(found, key=lambda job: -job.id):
        try:
            with errors_named(job):
                if output is None:
                    _check_place(database, job, prepared.ready)
                changed, of_job = apply_flags(database, job, flags, output, environ=environ, config=config)
        except UsageError as error:
            prepared.blocked.insert(0, (job, error))
            continue
        prepared.ready.insert(0, changed)
        prepared.changes[:0] = [f"job {job.id}: now {words(change)}" for change in of_job]
    if found and not prepared.ready:
        raise _none_can_run(prepared.blocked)
    return prepared


def _check_values(flags: Flags, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if a flag has a wrong value, which is no job's fault."""
    unset = {name: value for name, value in environ.items() if name != BASE_URL.variable}
    resolve_job(flags, remembered=None, environ=unset, file=FileSettings())


def _refuse_to_move_several(found: Sequence[Job], flags: Flags, *, are_named: bool) -> None:
    """Raise UsageError if flags about one endpoint would move jobs that no one has named to it."""
    flag = next((each.flag for each in (BASE_URL, API_KEY_ENV) if flags.get(each) is not None), None)
    alike = len({(job.base_url, job.key_name) for job in found}) <= 1
    if are_named or flag is None or alike:
        return
    listed = "; ".join(f"job {job.id} ({job.name}) at {shown_base_url(job.base_url)}" for job in found)
    raise UsageError(
        f"{flag} would change all unfinished jobs, and they use different endpoints or keys: {listed}",
        hint=f"name the jobs that it is meant for, as in `batcher resume {found[-1].id}`",
    )


def _check_place(database: Store, job: Job, ready: Sequence[Job]) -> None:
    """Raise UsageError if the job's results cannot be written, or would replace those of a job that runs too."""
    place = remembered_output(job)
    for other in ready:
        if Path(remembered_output(other)).resolve() == Path(place).resolve():
            raise UsageError(
                f"its results would go to {display_path(place)}, like those of job {other.id}",
                hint=f"run it with another results file: `batcher resume {job.id} -o job-{job.id}.results.jsonl`",
            )
    with remembered_by(job, place):
        check_places(database, place, source_path=job.source_path)


def _none_can_run(blocked: Sequence[tuple[Job, UsageError]]) -> UsageError:
    if len(blocked) == 1:
        return blocked[0][1]
    each = "\n".join(f"  {words(error.message)}" for _, error in blocked)
    hints = dict.fromkeys(words(error.hint) for _, error in blocked if error.hint)
    return UsageError(f"none of the {len(blocked)} jobs can run:\n{each}", hint="; ".join(hints) or None)


def apply_flags(
    database: Store,
    job: Job,
    flags: Flags,
    output: str | None,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
) -> tuple[Job, list[Words]]:
    """Apply the flags to the job's settings; return the job and a description of each change.

    Raises ConfigError for a wrong setting or missing credentials, and UsageError for an output that cannot be
    used, before anything runs.
    """
    path = None if output is None else absolute(output)
    if path is not None:
        check_places(database, path, source_path=job.source_path)

    def resolve(remembered: JobSettings) -> JobSettings:
        settings = resolve_job(flags, remembered=remembered, environ=environ, file=config)
        if job.state is JobState.OPEN:
            check_credentials(settings, environ)
        return settings

    return change_settings.change(database, job, resolve, output_path=path)
