"""Shared by `run` and `resume`: run jobs with progress and signals, write their results, print a summary."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from batcher.app import run
from batcher.cli.flows import event_log, signals
from batcher.cli.flows.left_over import say_left_over
from batcher.cli.flows.progress import display, run_display
from batcher.cli.flows.result_writer import ResultWriter
from batcher.cli.flows.summary import summarize
from batcher.cli.params.session import Session
from batcher.cli.terminal.errors import FAILED, report_error
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import display_path, note
from batcher.domain.errors import BatcherError, UsageError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.ports import Store
from batcher.processes import is_stopped
from batcher.services.monitor.changes import Changes
from batcher.services.monitor.run_monitor import RunMonitor
from batcher.services.results import places
from batcher.services.results.write import remembered_output
from batcher.services.runs.run import Parts, RunControl, run_jobs
from batcher.services.runs.succession import StaleKey


def run_to_end(
    database: Store,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    concurrency: int | None,
    as_json: bool,
    as_list: bool = False,
    own_places: Mapping[JobId, str] | None = None,
    left_out: Sequence[Job] = (),
) -> int:
    """Run the jobs, write the results of finished ones, print a summary; return the exit code.

    `as_list` and `left_out`: see `summarize`. `own_places`: results files of this run alone; other jobs write
    where they remember. Raises UsageError if two jobs would write to the same file.
    """
    _check_outputs(database, jobs, own_places or {})
    writer = ResultWriter(database, jobs, own_places or {})
    control = RunControl()
    with event_log.open_log(session, parts.clock) as log:
        running = _run(
            database, jobs, parts, session, log=log, concurrency=concurrency, writer=writer, control=control
        )
        signal_code = run(running)
    with signals.exit_on_signals():
        current = writer.write_the_rest(parts.clock)
    if control.has_run and not session.quiet:
        say_left_over(database, [job.id for job in jobs])
    code = summarize(
        database,
        current,
        writer.written,
        clock=parts.clock,
        as_json=as_json,
        as_list=as_list,
        left_out=left_out,
    )
    for error in writer.errors:
        report_error(error, ())
    if signal_code is not None:
        return signal_code
    return FAILED if writer.errors else code


def _check_outputs(database: Store, jobs: Sequence[Job], own_places: Mapping[JobId, str]) -> None:
    """Raise UsageError if results cannot be written, or if two jobs would write to the same file."""
    _check_distinct_results(jobs)
    for job in jobs:
        place = own_places.get(job.id) or remembered_output(job)
        with places.remembered_by(job, place):
            places.check_places(database, place, source_path=job.source_path)


def _check_distinct_results(jobs: Sequence[Job]) -> None:
    """Raise UsageError if two jobs would write to the same file: the second would overwrite the first.

    Jobs of two versions of a job file have the same results file by default.
    """
    places: dict[str, Job] = {}
    for job in jobs:
        other = places.setdefault(str(Path(remembered_output(job)).resolve()), job)
        if other is not job:
            place = display_path(remembered_output(job))
            raise UsageError(
                f"the results of jobs {other.id} and {job.id} would both go to {place}",
                hint=f"run one of them first, with another results file: batcher resume {other.id} -o FILE",
            )


async def _run(
    database: Store,
    jobs: Sequence[Job],
    parts: Parts,
    session: Session,
    *,
    log: event_log.Log | None,
    concurrency: int | None,
    writer: ResultWriter,
    control: RunControl,
) -> int | None:
    """Run the unfinished jobs; return the exit code of the signal that interrupted them, None if none did."""
    unfinished = [job for job in jobs if job.state is JobState.OPEN]
    if not unfinished:
        return None
    monitor = RunMonitor(database, unfinished, parts.clock, runner=lambda: control.runner)
    with ExitStack() as stack:
        interruption = stack.enter_context(signals.drain_on_signals(control))
        shown = stack.enter_context(display(quiet=session.quiet))
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(writer.run())]
            if shown is not None:
                background.append(tasks.create_task(run_display(shown, _title(unfinished), monitor)))

            start = _start_of(tasks, background, monitor)
            handed_over = _other_runner(unfinished, control, start)
            try:
                await run_jobs(
                    database,
                    [JobId(job.id) for job in unfinished],
                    parts,
                    events=Changes(monitor, writer, log),
                    concurrency=concurrency,
                    control=control,
                    handed_over=handed_over,
                    taken_over=lambda: note(f"that runner has ended; this command runs {_listed(unfinished)} now"),
                    key_is_stale=_report_stale_key,
                )
            except BatcherError as error:
                _report_if_interrupted(interruption, error)
            finally:
                for task in background:
                    task.cancel()
    return interruption.exit_code


def _start_of(
    tasks: asyncio.TaskGroup, background: list[asyncio.Task[None]], monitor: RunMonitor
) -> Callable[[Callable[[], bool]], None]:
    def follow(until: Callable[[], bool]) -> None:
        background.append(tasks.create_task(monitor.follow(until)))

    return follow


def _other_runner(
    jobs: Sequence[Job],
    control: RunControl,
    follow: Callable[[Callable[[], bool]], None],
) -> Callable[[int | None], None]:
    """Return what is called with the pid of each runner that takes these jobs; their progress is followed once.

    If this process was the runner meanwhile, it is followed again. `follow` starts that, until what it is given.
    """
    followed: set[int] = set()

    def handed_over(pid: int | None) -> None:
        _report_other_runner(pid, jobs)
        runs = control.runs
        if runs not in followed:
            follow(lambda: control.runs > runs)
        followed.add(runs)

    return handed_over


def _report_if_interrupted(interruption: signals.Interruption, error: BatcherError) -> None:
    """Report the error and end as after any signal, if a signal ended a wait for the store; else raise it."""
    if interruption.exit_code is None:
        raise error
    report_error(error, ())


def _report_other_runner(pid: int | None, jobs: Sequence[Job]) -> None:
    note(f"another runner (pid {pid}) is using this store; it will run {_listed(jobs)}. Showing its progress.")
    if pid is not None and is_stopped(pid):
        note(f"  → that runner is stopped: `kill -CONT {pid}` continues it, `kill -KILL {pid}` ends it")


def _listed(jobs: Sequence[Job]) -> str:
    return f"job{'' if len(jobs) == 1 else 's'} {', '.join(str(job.id) for job in jobs)}"


def _report_stale_key(stale: StaleKey) -> None:
    ids = " ".join(str(job.id) for job in stale.jobs)
    which = f"job{'' if len(stale.jobs) == 1 else 's'} {ids}"
    note(
        f"the runner (pid {stale.pid}) was started with another value of {' or '.join(stale.variables)} than "
        f"this process has, for {which}"
    )
    if stale.lacking is None:
        note("  it finishes its requests in flight, and this process takes over its jobs")
        return
    job, error = stale.lacking
    note(f"  it also runs job {job.id} ({job.name}), for which this process has no key: {words(error.message)}")
    note(f"  → set that too and run `batcher resume {ids}` again; or end that runner with `kill -INT {stale.pid}`")


def _title(jobs: Sequence[Job]) -> str:
    first = jobs[0]
    return f"job {first.id} {first.name}" if len(jobs) == 1 else f"{len(jobs)} jobs"
