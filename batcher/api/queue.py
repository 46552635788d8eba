"""`Batcher`: jobs in, results out, for async code."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from msgspec.structs import replace

from batcher.api.arguments import Key, SettingArguments, flags_of, lists
from batcher.api.errors import translate_errors, words
from batcher.api.results import JobHandle, Result
from batcher.api.sources import Rows, open_rows, working_folder
from batcher.api.stream import Arrivals, Stream
from batcher.app import make_parts
from batcher.clock import SystemClock
from batcher.config import (
    answer_scope,
    base_url_named_by,
    checks,
    load_file,
    names_endpoint,
    resolve_job,
    resolve_process,
)
from batcher.domain.errors import ConfigError, Paused, UsageError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.settings import LIMIT_NAMES, JobSettings, Limits
from batcher.domain.states import JobState, ShownState
from batcher.ports import Store
from batcher.services.jobs import change_settings, manage
from batcher.services.jobs.options import EndpointNaming, SubmitOptions
from batcher.services.jobs.submit import Submitted, submit_file
from batcher.services.monitor.status import JobStatus, PausedStatus, job_status
from batcher.services.results.places import absolute
from batcher.services.runs.requirements import check_can_send
from batcher.services.runs.run import RunControl, RunEnd, run_jobs
from batcher.services.store.open_store import open_or_create


class Batcher:
    """A store, and the settings of the jobs that are submitted to it. Use it with `async with`.

    What is not given comes from the environment, batcher.toml or the defaults, as for the commands.

    Args:
        db: The store's path. Default: `batcher.db` in the current folder.
        api_key: The API key, or a callable that returns it. By default it is read from the variable `api_key_env`.
        limits: Rate limits of every model: requests and tokens per minute.
        model_limits: Rate limits of single models; each replaces `limits` for its model.
        **settings: The settings, each by its name: see `batcher.api.SettingArguments`.

    Raises:
        ConfigError: A setting is invalid; the message names it.
    """

    @translate_errors()
    @lists(SettingArguments)
    def __init__(
        self,
        db: str | os.PathLike[str] | None = None,
        *,
        api_key: Key | None = None,
        limits: Limits | None = None,
        model_limits: Mapping[str, Limits] | None = None,
        **settings: Unpack[SettingArguments],
    ) -> None:
        flags = flags_of(settings, db=db)
        folder = working_folder()
        file = load_file(None, folder)
        self._flags, self._file = flags, file
        self._limits = None if limits is None else _checked(limits, "limits")
        of_models = (model_limits or {}).items()
        self._model_limits = {model: _checked(own, f"model_limits[{model!r}]") for model, own in of_models}
        # Absolute from the start: the host program may change its working directory, as `%cd` does in a notebook.
        process = resolve_process(flags, os.environ, file)
        self._process = replace(process, db=os.fspath(folder / process.db))
        self._settings = self._resolve(None)
        self._api_key = api_key
        self._open: Any = None
        self._database: Store | None = None
        self._streams: list[Stream] = []

    async def __aenter__(self) -> Self:
        self._open = open_or_create(self._process.db, SystemClock())
        with translate_errors():
            self._database = self._open.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in [*self._streams]:
            if kind is not None and issubclass(kind, asyncio.CancelledError):
                stream.stop()
            await stream.close()
        self._database = None
        self._open.__exit__(None, None, None)
        failed = next((stream.error for stream in self._streams if stream.error is not None), None)
        self._streams.clear()
        if failed is not None and kind is None:
            raise failed

    async def submit(
        self,
        source: Rows,
        *,
        name: str | None = None,
        key: str | None = None,
        url: str | None = None,
        model: str | None = None,
        check_bodies: bool = True,
        new: bool = False,
        skip_invalid: bool = False,
        output: str | os.PathLike[str] | None = None,
    ) -> JobHandle:
        """Check and store a job.

        If the same job is in the store already, the settings that are given here replace its own.

        Args:
            source: A job file's path, or an iterable of request objects.
            name: The job's name. Default: the file's name.
            key: Identifies an iterable, so that it can be resumed: the same key is the same job.
            url: The endpoint of bodies without `messages`, such as `/v1/embeddings`.
            model: The model of bodies that name none, or a placeholder.
            check_bodies: Whether bodies that look wrong for their endpoint are refused.
            new: Store it as a new job even if the same job is in the store.
            skip_invalid: Skip invalid lines instead of raising.
            output: Where `batcher results` and `batcher resume` write the results.

        Returns:
            The stored job, to pass to `run`.

        Raises:
            InputError: Lines are invalid, or the file cannot be read.
            UsageError: There is no key to send, or it is not clear which of the file's jobs is meant.
        """
        path = None if output is None else absolute(output)
        options = SubmitOptions(name=name, key=key, url=url, model=model, check_bodies=check_bodies, new=new)
        options = replace(options, skip_invalid=skip_invalid, output_path=path, naming=self._naming())
        # In a thread, because a large file takes time and other jobs may run in this event loop.
        stored = await asyncio.to_thread(self._submit, source, options)
        job = stored.job
        if not stored.is_new:
            with translate_errors():
                resolve = self._resolve_checked if job.state is JobState.OPEN else self._resolve
                job, _ = change_settings.change(self._store, job, resolve, output_path=path)
        return JobHandle(id=job.id, name=job.name, total=job.total, is_new=stored.is_new)

    @translate_errors()
    def _submit(self, source: Rows, options: SubmitOptions) -> Submitted:
        with open_rows(source, name=options.key or options.name or "rows") as readable:
            return submit_file(
                self._store,
                readable,
                self._settings,
                options,
                clock=SystemClock(),
                check=self._check,
                settings_at=lambda other: self._resolve(None, endpoint_of=other.settings),
                answer_scope=lambda settings: answer_scope(settings, os.environ),
            )

    def _naming(self) -> EndpointNaming:
        named_by = base_url_named_by(self._flags, os.environ, self._file)
        return EndpointNaming(is_explicit=names_endpoint(self._flags), named_by=named_by)

    async def run(self, job: JobHandle | int | str) -> AsyncGenerator[Result]:
        """Run the job and yield every row's final result once, as it finishes. Earlier results come first.

        A dead letter is yielded with `error` set; it raises nothing. Leaving the loop drains the job: requests in
        flight finish, and the rest waits for the next run. If the task is cancelled, requests in flight are
        returned to the queue at once and do not count as attempts.

        Args:
            job: A `JobHandle`, or a job's id or name.

        Yields:
            One `Result` per row.

        Raises:
            Paused: After the last result, if someone must act before the job can continue.
            ConfigError: There is no key to send.
        """
        database, found = self._store, self._find(job)
        control = RunControl()
        arrivals = Arrivals(found.id, control)
        stream = Stream(database, found, arrivals, control)
        self._streams.append(stream)
        parts = make_parts(environ=self._environ(found.settings))

        def handed_over(_pid: int | None) -> None:
            stream.elsewhere = True

        async def start() -> RunEnd:
            return await run_jobs(
                database,
                [found.id],
                parts,
                events=arrivals,
                concurrency=self._process.concurrency,
                control=control,
                handed_over=handed_over,
            )

        rows = stream.rows(start)
        try:
            async for result in rows:
                yield result
        finally:
            await rows.aclose()
            if stream.error is None and stream in self._streams:
                self._streams.remove(stream)
        with translate_errors():
            _raise_if_paused(job_status(database, found, now=SystemClock().now()))

    def status(self, job: JobHandle | int | str) -> JobStatus:
        """Return a job's status: what `batcher status JOB --json` prints.

        Args:
            job: A `JobHandle`, or a job's id or name.

        Raises:
            UnknownJob: There is no such job.
        """
        return _worded(job_status(self._store, self._find(job), now=SystemClock().now()))

    def _resolve(self, remembered: JobSettings | None, *, endpoint_of: JobSettings | None = None) -> JobSettings:
        settings = resolve_job(
            self._flags, remembered=remembered, environ=os.environ, file=self._file, endpoint_of=endpoint_of
        )
        return _with_limits(settings, self._limits, self._model_limits)

    def _resolve_checked(self, remembered: JobSettings) -> JobSettings:
        settings = self._resolve(remembered)
        self._check(settings)
        return settings

    def _check(self, settings: JobSettings) -> None:
        """Raise ConfigError if there is no key to send. A key from a callable is asked for when the job runs."""
        if not callable(self._api_key):
            self._environ(settings)

    @property
    def _store(self) -> Store:
        if self._database is None:
            raise UsageError("this Batcher is not open", hint="use it with `async with Batcher(…) as queue:`")
        return self._database

    @translate_errors()
    def _find(self, job: JobHandle | int | str) -> Job:
        if isinstance(job, str):
            return manage.find(self._store, job)
        return manage.get(self._store, JobId(job if isinstance(job, int) else job.id))

    @translate_errors()
    def _environ(self, settings: JobSettings) -> Mapping[str, str]:
        """Return the environment, with `api_key` in place of its variable. Raises ConfigError."""
        environ: dict[str, str] = dict(os.environ)
        if self._api_key is not None:
            environ[settings.api_key_env] = self._api_key() if callable(self._api_key) else self._api_key
        check_can_send(settings, environ)
        return environ


def _checked(limits: object, where: str) -> Limits:
    """Return the limits with their numbers checked. Raises ConfigError."""
    if not isinstance(limits, Limits):
        kind = type(limits).__name__
        raise ConfigError(f"{where} must be Limits, not {kind}", hint="write batcher.Limits(rpm=500, tpm=200_000)")
    given = {name: getattr(limits, name) for name in LIMIT_NAMES}
    return Limits(
        **{name: checks.optional(value, checks.positive, f"{where}.{name}") for name, value in given.items()}
    )


def _with_limits(settings: JobSettings, limits: Limits | None, model_limits: Mapping[str, Limits]) -> JobSettings:
    if limits is not None:
        settings = replace(settings, limits=limits)
    if model_limits:
        settings = replace(settings, model_limits={**settings.model_limits, **model_limits})
    return settings


def _worded(status: JobStatus) -> JobStatus:
    lanes = [replace(lane, paused=_worded_pause(lane.paused)) for lane in status.lanes]
    return replace(status, paused=_worded_pause(status.paused), lanes=lanes)


def _worded_pause(paused: PausedStatus | None) -> PausedStatus | None:
    return None if paused is None else {**paused, "message": words(paused["message"]), "fix": words(paused["fix"])}


def _raise_if_paused(status: JobStatus) -> None:
    if status.state is ShownState.PAUSED and status.paused is not None:
        raise Paused(status.paused["reason"], words(status.paused["message"]), words(status.paused["fix"]))
