"""What `run` and `submit` share: a file becomes a job, or is found to be one already."""

from collections.abc import Mapping

from batcher.cli.flows import signals
from batcher.cli.params.job_options import FileOptions
from batcher.cli.terminal.output import note, shown_path
from batcher.config import FileSettings, Flags, check_ca_file, find_headers, find_key, resolve_job
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.files.source import STDIN, open_source
from batcher.policy.api_paths import normal_path
from batcher.policy.input.deduplication import advice
from batcher.ports import Clock
from batcher.services.dead_letters.retry import retry_job
from batcher.services.jobs import change_settings
from batcher.services.jobs.line_chunks import SHOWN_BAD_LINES
from batcher.services.jobs.repeats import random_repeats
from batcher.services.jobs.submit import SubmitOptions, Submitted, submit_file
from batcher.services.results.export import absolute, check_places, default_output
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
    """The job of this file, the flags laid over what it remembers; checked before it is stored.

    Where nothing is left to send, no key is asked for.
    """
    settings = resolve_job(flags, remembered=None, environ=environ, file=config)
    with signals.raised(), open_source(given.file) as source:
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
        _tell_new(database, submitted, given)
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
    _tell_known(job, changes, given, retried=retried)
    return job


def check_credentials(settings: JobSettings, environ: Mapping[str, str]) -> None:
    """Raise a ConfigError now for what would otherwise stop the run: no key, no header's value, no CA file."""
    check_ca_file(settings.ca_file)
    if not settings.simulate:
        find_key(settings, environ)
        find_headers(settings, environ)


def _output(database: Database, given: FileOptions, *, simulated: bool) -> str:
    if given.output == STDIN:
        raise UsageError("results go to a file here", hint="then `batcher results -o -` writes them to stdout")
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
        raise UsageError(f"--url {given} is not a plain path under /v1/", hint="for instance --url /v1/embeddings")
    return path


def _tell_new(database: Database, submitted: Submitted, given: FileOptions) -> None:
    job, before = submitted.job, submitted.changed_from
    if given.quiet:
        return
    if before is not None:
        note(f"{job.source_name} has changed since job {before.id}; this is a new job")
    rows = "1 row" if job.total == 1 else f"{job.total:,} rows"
    note(f"job {job.id} ({job.name}): {rows} stored")
    repeated = random_repeats(database, job) if submitted.followers else 0
    if repeated:
        note(f"note: {advice(repeated)}")


def _tell_known(job: Job, changes: list[str], given: FileOptions, *, retried: int) -> None:
    if given.quiet:
        return
    note(f"job {job.id} ({job.name}): {_what_comes(job, given, retried=retried)}")
    for change in changes:
        note(f"  now {change}")
    if given.name not in {None, job.name}:
        note(f"  the job keeps its name {job.name}; --new makes a new job")


def _what_comes(job: Job, given: FileOptions, *, retried: int) -> str:
    if retried:
        letters = "1 dead letter is" if retried == 1 else f"{retried:,} dead letters are"
        return f"this file is known; {letters} tried again"
    if job.state is JobState.OPEN:
        return "this file is known; the job goes on where it stopped"
    if given.runs:
        return f"known and finished; nothing is sent, {shown_path(remembered_output(job))} is written again"
    return f"known and finished; `batcher results {job.id}` writes its results again"
