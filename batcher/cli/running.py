"""What `run` and `resume` share: run jobs with progress and signals, write their results, say how it ended."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack

from batcher.cli import logs, signals
from batcher.cli.endings import summarize
from batcher.cli.failing import FAILED, report_error
from batcher.cli.output import note
from batcher.cli.progress import Numbers, display, keep_showing
from batcher.cli.session import Session
from batcher.domain.errors import BatcherError
from batcher.domain.events import Event
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.services import exporting
from batcher.services.exporting import Exported
from batcher.services.following import Follower, stand
from batcher.services.running import Parts, RunControl, run_jobs
from batcher.store import jobs as stored_jobs
from batcher.store.engine import Database


class _Listeners:
    """`ports.Events` for the command line: everything that listens is quick."""

    def __init__(self, listeners: Sequence[Numbers | logs.Log]) -> None:
        self._listeners = listeners

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener.emit(event)

    async def ready(self) -> None:
        """Nothing here is ever behind."""


def output_of(job: Job) -> str:
    """Where the job's results go."""
    return job.output_path or exporting.default_output(job.source_name)


def run_to_end(
    database: Database,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    concurrency: int | None,
    as_json: bool,
) -> int:
    """Run the jobs, write what is finished, say how it ended; returns the exit code."""
    for job in jobs:
        exporting.check_places(database, output_of(job), source_path=job.source_path)
    with logs.opened(session, parts.clock) as log:
        signal_code = asyncio.run(_run(database, jobs, parts, session, log=log, concurrency=concurrency))
    current = _reread(database, jobs)
    with signals.raised():
        written, errors = _write(database, current)
    code = summarize(database, current, written, as_json=as_json)
    for error in errors:
        report_error(error, ())
    if signal_code is not None:
        return signal_code
    return FAILED if errors else code


def _reread(database: Database, jobs: Sequence[Job]) -> list[Job]:
    with database.read() as connection:
        return [stored_jobs.get(connection, job.id) for job in jobs]


def _write(database: Database, jobs: Sequence[Job]) -> tuple[dict[JobId, Exported], list[BatcherError]]:
    """Write the results of those that are at their end. One that cannot be written does not keep the others."""
    written: dict[JobId, Exported] = {}
    errors: list[BatcherError] = []
    for job in jobs:
        if job.state not in {JobState.COMPLETED, JobState.CANCELLED}:
            continue
        try:
            written[job.id] = exporting.write_job(database, job, results=output_of(job))
        except BatcherError as error:
            errors.append(error)
    return written, errors


async def _run(
    database: Database,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    log: logs.Log | None,
    concurrency: int | None,
) -> int | None:
    """Returns the exit code of the signal that ended it, if one did."""
    unfinished = [job for job in jobs if job.state is JobState.OPEN]
    if not unfinished:
        return None
    numbers = _numbers(database, unfinished, parts)
    control = RunControl()
    numbers.worker = lambda: control.worker
    listeners: list[Numbers | logs.Log] = [numbers] if log is None else [numbers, log]
    with ExitStack() as stack:
        interruption = stack.enter_context(signals.heeded(control))
        shown = stack.enter_context(display(quiet=session.quiet))
        async with asyncio.TaskGroup() as tasks:
            beside = []
            if shown is not None:
                beside.append(tasks.create_task(keep_showing(shown, numbers)))

            def handed_over(pid: int | None) -> None:
                numbers_of = ", ".join(str(job.id) for job in unfinished)
                note(f"a runner (pid {pid}) works this store; it takes job {numbers_of}, shown here")
                follower = Follower(database, [job.id for job in unfinished], numbers.follow)
                beside.append(tasks.create_task(follower.run()))

            try:
                await run_jobs(
                    database,
                    [JobId(job.id) for job in unfinished],
                    parts,
                    events=_Listeners(listeners),
                    concurrency=concurrency,
                    control=control,
                    handed_over=handed_over,
                )
            finally:
                for task in beside:
                    task.cancel()
    return interruption.exit_code


def _numbers(database: Database, jobs: Sequence[Job], parts: Parts) -> Numbers:
    standing = stand(database, [job.id for job in jobs])
    first = jobs[0]
    title = f"job {first.id} {first.name}" if len(jobs) == 1 else f"{len(jobs)} jobs"
    return Numbers(parts.clock, title=title, total=sum(job.total for job in jobs), standing=standing)
