"""What `run` and `submit` share: a file becomes a job, or is found to be one already."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from batcher.cli.output import note
from batcher.cli.running import say_stored
from batcher.config import FileSettings, Flags, check_ca_file, find_headers, find_key, resolve_job
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.files.source import open_source
from batcher.files.writing import check_target
from batcher.policy.paths import normal_path
from batcher.ports import Clock
from batcher.services import remembering
from batcher.services.exporting import default_output
from batcher.services.repeats import advice, random_repeats
from batcher.services.submitting import SHOWN_BAD_LINES, SubmitOptions, submit_file
from batcher.store.engine import Database


class Intake(Struct, frozen=True, kw_only=True):
    """The options that say how a file is to be taken."""

    file: str
    output: str | None
    new: bool
    name: str | None
    url: str | None
    skip_invalid: bool
    keep_all_bad: bool
    quiet: bool


def store(
    database: Database,
    intake: Intake,
    flags: Flags,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
    clock: Clock,
) -> Job:
    """The job of this file, the flags laid over what it remembers; checked before it is stored."""

    def resolve(remembered: JobSettings | None) -> JobSettings:
        settings = resolve_job(flags, remembered=remembered, environ=environ, file=config)
        check_credentials(settings, environ)
        return settings

    settings = resolve(None)
    output = _output(intake)
    options = SubmitOptions(
        name=intake.name,
        url=_url(intake.url),
        skip_invalid=intake.skip_invalid,
        new=intake.new,
        output_path=output,
        keep_bad=None if intake.keep_all_bad else SHOWN_BAD_LINES,
    )
    with open_source(intake.file) as source:
        submitted = submit_file(database, source, settings, options, clock=clock)
    job = submitted.job
    changes: list[str] = []
    if not submitted.is_new:
        job, changes = remembering.change(
            database, job, resolve, output_path=output if intake.output is not None else None
        )
    if not intake.quiet:
        _tell(database, job, changes, is_new=submitted.is_new, before=submitted.changed_from)
    return job


def check_credentials(settings: JobSettings, environ: Mapping[str, str]) -> None:
    """Raise a ConfigError now for what would otherwise stop the run: no key, no header's value, no CA file."""
    check_ca_file(settings.ca_file)
    if not settings.simulate:
        find_key(settings, environ)
        find_headers(settings, environ)


def _output(intake: Intake) -> str:
    if intake.output == "-":
        raise UsageError("results go to a file here", hint="then `batcher results -o -` writes them to stdout")
    path = intake.output or default_output("<stdin>" if intake.file == "-" else intake.file)
    absolute = str(Path.cwd() / path)
    check_target(Path(absolute))
    return absolute


def _url(given: str | None) -> str | None:
    if given is None:
        return None
    path = normal_path(given)
    if path is None:
        raise UsageError(f"--url {given} is not a plain path under /v1/", hint="for instance --url /v1/embeddings")
    return path


def _tell(database: Database, job: Job, changes: list[str], *, is_new: bool, before: Job | None) -> None:
    if before is not None:
        note(f"{job.source_name} has changed since job {before.id}; this is a new job")
    say_stored(job, is_new=is_new)
    for change in changes:
        note(f"  now {change}")
    repeated = random_repeats(database, job) if is_new else 0
    if repeated:
        note(f"note: {advice(repeated)}")
