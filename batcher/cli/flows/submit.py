"""Shared by `run` and `submit`: store a job file as a job, or find the job that it already has."""

from collections.abc import Mapping

from batcher.cli.flows import signals
from batcher.cli.params.job_options import FileOptions
from batcher.cli.terminal.output import display_path, letter_count, note, row_count
from batcher.config import FileSettings, Flags, check_ca_file, find_headers, find_key, resolve_job
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.files.source import STDIN, open_source
from batcher.policy.api_paths import normal_path
from batcher.policy.input.deduplication import advice
from batcher.ports import Clock
from batcher.sender.proxies import check_proxy
from batcher.services.dead_letters.retry import retry_job
from batcher.services.jobs import change_settings
from batcher.services.jobs.line_chunks import SHOWN_BAD_LINES
from batcher.services.jobs.repeats import random_repeats
from batcher.services.jobs.submit import SubmitOptions, Submitted, submit_file
from batcher.services.results.places import absolute, check_places, default_output
from batcher.services.results.write import remembered_output
from batcher.store.sqlite.database import Database


def store(
    database: Database,
    given: FileOptions,
    flags: Flags,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
    clock: Clock,
) -> Job:
    """Store the file as a job, or find its job and apply the flags to the job's settings.

    Credentials are checked before anything is stored; they are not needed if nothing is left to send. Raises
    InputError for bad lines, ConfigError for a wrong setting or missing credentials, and UsageError for an output
    that cannot be used.
    """
    settings = resolve_job(flags, remembered=None, environ=environ, file=config)
    with signals.exit_on_signals(), open_source(given.file) as source:
        output = _output(database, given, simulated=settings.simulate)
        options = SubmitOptions(
            name=given.name,
            url=_url(given.url),
            skip_invalid=given.skip_invalid,
            new=given.new,
            output_path=output,
            keep_bad=None if given.as_json else SHOWN_BAD_LINES,
        )
        submitted = submit_file(
            database, source, settings, options, clock=clock, check=lambda: check_credentials(settings, environ)
        )
    if submitted.is_new:
        _report_new(database, submitted, given)
        return submitted.job
    known = submitted.job

    def resolve(remembered: JobSettings) -> JobSettings:
        settings = resolve_job(flags, remembered=remembered, environ=environ, file=config)
        if known.state is JobState.OPEN or given.retry_dead:
            check_credentials(settings, environ)
        return settings

    moved_to = output if given.output is not None else None
    job, changes = change_settings.change(database, known, resolve, output_path=moved_to)
    job, retried = retry_job(database, job) if given.retry_dead else (job, 0)
    _report_known(job, changes, given, retried=retried)
    return job


def check_credentials(settings: JobSettings, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the key, the value of a header or the CA file is missing, or the proxy is unusable."""
    check_ca_file(settings.ca_file)
    if not settings.simulate:
        check_proxy(settings.base_url)
        find_key(settings, environ)
        find_headers(settings, environ)


def _output(database: Database, given: FileOptions, *, simulated: bool) -> str:
    if given.output == STDIN:
        raise UsageError(
            "this command writes results to a file, not to stdout",
            hint="name a file with -o; afterwards `batcher results -o -` writes the results to stdout",
        )
    from_stdin = given.file == STDIN
    path = given.output or default_output("<stdin>" if from_stdin else given.file, simulated=simulated)
    place = absolute(path)
    check_places(database, place, source_path=None if from_stdin else given.file)
    return place


def _url(given: str | None) -> str | None:
    if given is None:
        return None
    path = normal_path(given)
    if path is None:
        raise UsageError(f"--url {given} is not a plain path under /v1/", hint="for example --url /v1/embeddings")
    return path


def _report_new(database: Database, submitted: Submitted, given: FileOptions) -> None:
    job, before = submitted.job, submitted.changed_from
    if given.quiet:
        return
    if before is not None:
        note(f"{job.source_name} has changed since job {before.id}; this is a new job")
    note(f"job {job.id} ({job.name}): {row_count(job.total)} stored")
    repeated = random_repeats(database, job) if submitted.followers else 0
    if repeated:
        note(f"note: {advice(repeated)}")


def _report_known(job: Job, changes: list[str], given: FileOptions, *, retried: int) -> None:
    if given.quiet:
        return
    note(f"job {job.id} ({job.name}): {_next_step(job, given, retried=retried)}")
    for change in changes:
        note(f"  now {change}")
    if given.name not in {None, job.name}:
        note(f"  the job keeps its name {job.name}; --new creates a new job")


def _next_step(job: Job, given: FileOptions, *, retried: int) -> str:
    if retried:
        return (
            f"this file is already stored; {letter_count(retried)} {'is' if retried == 1 else 'are'} pending again"
        )
    if job.state is JobState.OPEN:
        return "this file is already stored; the job continues where it stopped"
    if given.runs:
        return f"already finished; nothing is sent, {display_path(remembered_output(job))} is written again"
    return f"already finished; `batcher results {job.id}` writes its results again"
