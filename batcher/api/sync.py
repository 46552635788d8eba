"""`run_file`: runs a job file to its results in one call, without async."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Unpack

from batcher import app
from batcher.api.arguments import BatcherArguments, lists
from batcher.api.errors import translate_errors
from batcher.api.queue import Batcher
from batcher.api.results import Summary
from batcher.clock import SystemClock
from batcher.domain.errors import Paused
from batcher.domain.ids import JobId
from batcher.domain.settings import Limits
from batcher.services.jobs import manage
from batcher.services.monitor.status import job_status
from batcher.services.results import export, places


@lists(BatcherArguments)
def run_file(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    name: str | None = None,
    url: str | None = None,
    model: str | None = None,
    check_bodies: bool = True,
    new: bool = False,
    skip_invalid: bool = False,
    **settings: Unpack[BatcherArguments],
) -> Summary:
    """Run a job file to its end and write its results. A second call continues where the first one stopped.

    Dead letters raise nothing; they are in the errors file. It also works in a notebook.

    Args:
        path: The job file.
        output: The results file; the job remembers it. Default: `FILE.results.jsonl` beside the job file.
        rpm: Requests per minute, for every model.
        tpm: Tokens per minute, for every model.
        name: The job's name. Default: the file's name.
        url: The endpoint of bodies without `messages`, such as `/v1/embeddings`.
        model: The model of bodies that name none, or a placeholder.
        check_bodies: Whether bodies that look wrong for their endpoint are refused.
        new: Run it as a new job even if the same job is in the store.
        skip_invalid: Skip invalid lines instead of raising.
        **settings: Arguments of `Batcher`: `db`, `base_url`, `api_key`, `concurrency` and the others.

    Returns:
        How the job ended, and which files were written.

    Raises:
        InputError: Lines are invalid, or the file cannot be read. A file that was stored before, with its invalid
            lines skipped, is not checked again.
        ConfigError: A setting is invalid, or there is no key to send.
        Paused: Someone must act before the job can continue. The rows answered so far are written.
    """
    results = _place(path, output, simulated=bool(settings.get("simulate")))
    place = places.absolute(results)  # the host program may change its working directory meanwhile
    if rpm is not None or tpm is not None:
        settings["limits"] = Limits(rpm=rpm, tpm=tpm)
    asked: dict[str, Any] = {"name": name, "url": url, "model": model, "check_bodies": check_bodies}
    asked |= {"new": new, "skip_invalid": skip_invalid, "output": place}
    return _run_anywhere(lambda: _run_job(path, asked, settings, shown=results))


async def _run_job(
    path: str | os.PathLike[str], asked: Mapping[str, Any], settings: BatcherArguments, *, shown: str
) -> Summary:
    """Run the job. `asked`: arguments of `Batcher.submit`; `shown`: the results' path as the caller gave it."""
    async with Batcher(**settings) as queue:
        _check_place(queue, asked["output"], os.fspath(path))
        job = await queue.submit(path, **asked)
        return await _run_and_write(queue, JobId(job.id), asked["output"], shown=shown)


def _place(path: str | os.PathLike[str], output: str | os.PathLike[str] | None, *, simulated: bool) -> str:
    if output is not None:
        return os.fspath(output)
    return places.default_output(os.fspath(path), simulated=simulated)


@translate_errors()
def _check_place(queue: Batcher, place: str, source: str) -> None:
    places.check_places(queue._store, place, source_path=source)  # noqa: SLF001 - two modules of one surface


async def _run_and_write(queue: Batcher, job_id: JobId, place: str, *, shown: str) -> Summary:
    """Run the job and write its results; if it pauses, write those so far before `Paused` is raised."""
    try:
        async for _ in queue.run(job_id):
            pass
    except Paused:
        if queue.status(job_id).counts["completed"]:
            _finish(queue, job_id, place, shown=shown)
        raise
    return _finish(queue, job_id, place, shown=shown)


def _finish(queue: Batcher, job_id: JobId, results: str, *, shown: str) -> Summary:
    """Write the results. `shown` is their path as the caller gave it."""
    database = queue._store  # noqa: SLF001 - two modules of one surface
    job = manage.get(database, job_id)
    written = export.write_job(database, job, results=results)
    status = job_status(database, job, now=SystemClock().now())
    return Summary(
        job=job.id,
        name=job.name,
        state=status.state.value,
        total=status.counts["total"],
        completed=status.counts["completed"],
        dead_lettered=status.counts["dead_lettered"],
        cancelled=status.counts["cancelled"],
        rejected=status.rejected,
        cached=status.cached,
        attempts=status.attempts,
        truncated=status.truncated,
        empty=status.empty,
        unchecked=status.unchecked,
        rate_limited=status.rate_limited,
        input_tokens=status.tokens.input,
        output_tokens=status.tokens.output,
        results=shown,
        errors=None if written.errors is None else places.errors_beside(shown),
    )


def _run_anywhere(work: Callable[[], Coroutine[Any, Any, Summary]]) -> Summary:
    """Call `asyncio.run`, in a thread of its own if an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return app.run(work())
    done: Future[Summary] = Future()
    running = threading.Event()
    stop: list[Callable[[], object]] = []

    async def cancellable() -> Summary:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: this is one
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        running.set()
        return await work()

    def run() -> None:
        try:
            done.set_result(app.run(cancellable()))
        except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
            done.set_exception(error)

    thread = threading.Thread(target=run, name="batcher-run-file")
    thread.start()
    try:
        thread.join()
    except BaseException:
        # Interrupted while it runs: nothing more is sent, and requests in flight are returned to the queue.
        running.wait()
        stop[0]()
        thread.join()
        raise
    return done.result()
