"""What `run` and `resume` share: run jobs with progress and signals, write their results, say how it ended."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from batcher.app import run
from batcher.cli.flows import event_log, signals
from batcher.cli.flows.progress import Numbers, display, keep_showing
from batcher.cli.flows.result_writer import Results
from batcher.cli.flows.summary import summarize
from batcher.cli.params.session import Session
from batcher.cli.terminal.errors import FAILED, report_error
from batcher.cli.terminal.output import note, shown_path
from batcher.domain.errors import UsageError
from batcher.domain.events import Event
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.services.results import export
from batcher.services.results.write import remembered_output
from batcher.services.runs.follow import JobFollower, totals_of
from batcher.services.runs.run import Parts, RunControl, run_jobs
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.lock_wait import is_stopped


class _Listeners:
    """`ports.Events` for the command line: everything that listens is quick."""

    def __init__(self, listeners: Sequence[Numbers | event_log.Log | Results]) -> None:
        self._listeners = listeners

    def emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener.emit(event)

    def is_behind(self, job_id: JobId) -> bool:  # noqa: ARG002 - the port's
        """Nothing here is ever behind."""
        return False


def run_to_end(
    database: Database,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    concurrency: int | None,
    as_json: bool,
    listed: bool = False,
) -> int:
    """Run the jobs, write what is finished, say how it ended; returns the exit code. `listed`: see `summarize`."""
    _refuse_shared_place(jobs)
    for job in jobs:
        export.check_places(database, remembered_output(job), source_path=job.source_path)
    results = Results(database, jobs)
    with event_log.opened(session, parts.clock) as log:
        signal_code = run(_run(database, jobs, parts, session, log=log, concurrency=concurrency, results=results))
    with signals.raised():
        current = results.write_the_rest()
    code = summarize(database, current, results.written, clock=parts.clock, as_json=as_json, listed=listed)
    for error in results.errors:
        report_error(error, ())
    if signal_code is not None:
        return signal_code
    return FAILED if results.errors else code


def _refuse_shared_place(jobs: Sequence[Job]) -> None:
    """Two jobs of one file that has changed go to the same place by default: the second would hide the first."""
    places: dict[str, Job] = {}
    for job in jobs:
        other = places.setdefault(str(Path(remembered_output(job)).resolve()), job)
        if other is not job:
            place = shown_path(remembered_output(job))
            raise UsageError(
                f"the results of jobs {other.id} and {job.id} would both go to {place}",
                hint=f"run one with another place first: batcher resume {other.id} -o FILE",
            )


async def _run(
    database: Database,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    log: event_log.Log | None,
    concurrency: int | None,
    results: Results,
) -> int | None:
    """Returns the exit code of the signal that ended it, if one did."""
    unfinished = [job for job in jobs if job.state is JobState.OPEN]
    if not unfinished:
        return None
    numbers = _numbers(database, unfinished, parts)
    control = RunControl()
    numbers.worker = lambda: control.worker
    listeners: list[Numbers | event_log.Log | Results] = [numbers, results]
    if log is not None:
        listeners.append(log)
    with ExitStack() as stack:
        interruption = stack.enter_context(signals.heeded(control))
        shown = stack.enter_context(display(quiet=session.quiet))
        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(results.run())]
            if shown is not None:
                beside.append(tasks.create_task(keep_showing(shown, numbers)))

            def handed_over(pid: int | None) -> None:
                numbers_of = ", ".join(str(job.id) for job in unfinished)
                note(f"a runner (pid {pid}) works this store; it takes job {numbers_of}, shown here")
                if pid is not None and is_stopped(pid):
                    note(f"  → that runner is stopped: `kill -CONT {pid}` wakes it, `kill -KILL {pid}` ends it")
                follower = JobFollower(database, [job.id for job in unfinished], numbers.follow)
                beside.append(tasks.create_task(follower.run(lambda: control.worker is not None)))

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
    totals = totals_of(database, [job.id for job in jobs])
    first = jobs[0]
    title = f"job {first.id} {first.name}" if len(jobs) == 1 else f"{len(jobs)} jobs"
    ids = [job.id for job in jobs]
    return Numbers(parts.clock, title=title, jobs=ids, total=sum(job.total for job in jobs), totals=totals)
