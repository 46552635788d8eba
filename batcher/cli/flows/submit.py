"""Shared by `run` and `submit`: store a job file as a job, or find the job that it already has."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from batcher.cli.flows import signals
from batcher.cli.flows.job_errors import errors_named
from batcher.cli.flows.parsing import parsing_options
from batcher.cli.flows.stored_notes import say_known, say_new, say_unknown_models
from batcher.cli.params.job_options import FileOptions
from batcher.cli.terminal.output import note
from batcher.config import (
    FileSettings,
    Flags,
    answer_scope,
    base_url_named_by,
    check_ca_file,
    names_endpoint,
    resolve_job,
)
from batcher.domain.errors import UsageError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.files.source import Source, is_stdin, open_source
from batcher.files.writing import is_stdout, is_stream
from batcher.ports import Clock, Store
from batcher.services.dead_letters.retry import retry_job
from batcher.services.jobs import change_settings
from batcher.services.jobs.options import EndpointNaming, SubmitOptions
from batcher.services.jobs.refuse_early import refuse_early
from batcher.services.jobs.submit import submit_file
from batcher.services.results.places import absolute, check_places, default_output, refuse_table
from batcher.services.results.write import remembered_output
from batcher.services.runs.requirements import check_can_send, proxy_to_this_machine
from batcher.services.store.open_store import exists


class StoredFile(Struct, frozen=True, kw_only=True):
    """The job of a file, and where its results go this time; None: where the job remembers."""

    job: Job
    place: str | None = None


@contextmanager
def opened_file(
    given: FileOptions, flags: Flags, *, db: str, environ: Mapping[str, str], config: FileSettings
) -> Iterator[Source]:
    """Open the job file. If there is no store yet, first refuse what could not be stored or run.

    So a wrong file, a results file of a wrong kind or a missing key leaves no store behind.
    """
    with ExitStack() as opened:
        with signals.exit_on_signals():
            source = opened.enter_context(open_source(given.file))
            if not exists(db):
                settings = resolve_job(flags, remembered=None, environ=environ, file=config)
                refuse_table(given.output or "")
                refuse_early(source, settings, _options(given, output=None, naming=EndpointNaming()))
                check_credentials(settings, environ)
        yield source


def store(
    database: Store,
    source: Source,
    given: FileOptions,
    flags: Flags,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
    clock: Clock,
) -> StoredFile:
    """Store the file as a job, or find its job and apply the flags to the job's settings.

    Credentials are checked before anything is stored; they are not needed if nothing is left to send. Raises
    InputError for bad lines, ConfigError for a wrong setting or missing credentials, and UsageError for an output
    that cannot be used, or if it is not clear which endpoint is meant.
    """
    settings = resolve_job(flags, remembered=None, environ=environ, file=config)

    def settings_at(other: Job) -> JobSettings:
        return resolve_job(flags, remembered=None, environ=environ, file=config, endpoint_of=other.settings)

    with signals.exit_on_signals():
        output = _output(database, given, simulated=settings.simulate)
        named_by = base_url_named_by(flags, environ, config)
        naming = EndpointNaming(is_explicit=names_endpoint(flags), named_by=named_by)
        options = _options(given, output=output, naming=naming)
        submitted = submit_file(
            database,
            source,
            settings,
            options,
            clock=clock,
            check=lambda settings: check_credentials(settings, environ),
            settings_at=settings_at,
            answer_scope=lambda settings: answer_scope(settings, environ),
        )
    job = submitted.job
    if not given.quiet and job.state is JobState.OPEN:
        _note_proxy(job.settings)
    if submitted.is_new:
        say_new(database, submitted, given)
        say_unknown_models(database, job, flags, given)
        return StoredFile(job=job)
    return _continue(database, job, given, flags, output, environ=environ, config=config)


def _continue(
    database: Store,
    known: Job,
    given: FileOptions,
    flags: Flags,
    output: str,
    *,
    environ: Mapping[str, str],
    config: FileSettings,
) -> StoredFile:
    """Apply the flags to the job that the file has; `output` is where this command would write its results."""

    def resolve(remembered: JobSettings) -> JobSettings:
        settings = resolve_job(flags, remembered=remembered, environ=environ, file=config)
        if known.state is JobState.OPEN or given.retry_dead:
            check_credentials(settings, environ)
        return settings

    # A file of another name has its own place. Only what is still to be run moves there for good.
    is_copy = given.output is None and _path(given) != known.source_path and output != remembered_output(known)
    runs_on = known.state is JobState.OPEN or given.retry_dead
    moved_to = output if given.output is not None or (is_copy and runs_on) else None
    with errors_named(known):
        job, changes = change_settings.change(database, known, resolve, output_path=moved_to)
    job, retried = retry_job(database, job) if given.retry_dead else (job, 0)
    place = output if is_copy else None
    say_known(job, changes, given, retried=retried, place=place, is_named=names_endpoint(flags))
    say_unknown_models(database, job, flags, given)
    return StoredFile(job=job, place=place)


def _path(given: FileOptions) -> str | None:
    return None if is_stdin(given.file) else str(Path(given.file).resolve())


def _options(given: FileOptions, *, output: str | None, naming: EndpointNaming) -> SubmitOptions:
    parsing = parsing_options(given.url, given.model, no_body_checks=given.no_body_checks, as_json=given.as_json)
    parsing = replace(parsing, name=given.name, skip_invalid=given.skip_invalid, new=given.new)
    return replace(parsing, output_path=output, naming=naming)


def _note_proxy(settings: JobSettings) -> None:
    """Say that a server of this machine is reached through a proxy: most proxies cannot reach it."""
    found = proxy_to_this_machine(settings)
    if found is not None:
        host, variable = found
        note(f"note: {host} is reached through the proxy of {variable}; `export NO_PROXY={host}` avoids it")


def check_credentials(settings: JobSettings, environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the key, the value of a header or the CA file is missing, or the proxy is unusable."""
    check_ca_file(settings.ca_file)
    check_can_send(settings, environ)


def _output(database: Store, given: FileOptions, *, simulated: bool) -> str:
    if given.output is not None and (is_stdout(given.output) or is_stream(given.output)):
        raise UsageError(
            "this command writes results to a file, not to stdout, a pipe or a device",
            hint="name a file with -o; afterwards "
            f"`batcher results -o {shlex.quote(given.output)}` writes the results there",
        )
    from_stdin = is_stdin(given.file)
    path = given.output or default_output("<stdin>" if from_stdin else given.file, simulated=simulated)
    place = absolute(path)
    check_places(database, place, source_path=None if from_stdin else given.file)
    return place
