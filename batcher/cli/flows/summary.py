"""What a run says at its end: a summary that names the next command, and the exit code."""

import os
import sys
from collections.abc import Mapping, Sequence

from batcher.cli.terminal.errors import DEAD_LETTERS, PAUSED
from batcher.cli.terminal.output import duration, number, print_json, say, shown_path
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import ShownState
from batcher.policy.input.deduplication import advice
from batcher.ports import Clock
from batcher.services.jobs.repeats import random_repeats
from batcher.services.results.export import Exported
from batcher.services.runs.status import JobStatus, job_status
from batcher.store.sqlite.database import Database


def summarize(
    database: Database,
    jobs: Sequence[Job],
    written: Mapping[JobId, Exported],
    *,
    clock: Clock,
    as_json: bool,
    listed: bool,
) -> int:
    """Say how every job ended; returns the exit code, unless a signal decides it.

    `listed`: as JSON it is a list, as of `status`.
    """
    statuses = [job_status(database, job, now=clock.now()) for job in jobs]
    try:
        if as_json:
            print_json({"data": statuses} if listed else statuses[0])
        else:
            for job, status in zip(jobs, statuses, strict=True):
                _say_status(database, job, status, written.get(job.id))
            sys.stdout.flush()
    except OSError:
        # Whoever listened is gone, a closed terminal for one; how it ended the exit code still says.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_code(statuses)


def exit_code(statuses: Sequence[JobStatus]) -> int:
    """The contract's order: 4 before 3 before 0. A row that was cancelled is not answered either."""
    if any(status.state is ShownState.PAUSED for status in statuses):
        return PAUSED
    if any(_has_unanswered(status) for status in statuses):
        return DEAD_LETTERS
    return 0


def _has_unanswered(status: JobStatus) -> bool:
    counts = status.counts
    return bool(counts["dead_lettered"] or counts["cancelled"] or status.rejected)


def _counted(count: int, one: str, many: str) -> str:
    return f"{number(count)} {one if count == 1 else many}"


def _say_status(database: Database, job: Job, status: JobStatus, written: Exported | None) -> None:
    counts = status.counts
    elapsed = f" after {duration(status.elapsed_seconds)}" if status.elapsed_seconds >= 1 else ""
    say(f"job {status.job} ({status.name}) {status.state}{elapsed}")
    shared = f", {number(status.cached)} of them without a request of their own" if status.cached else ""
    say(f"  rows      {number(counts['total'])}: {number(counts['completed'])} answered{shared}")
    unfinished = counts["pending"] + counts["claimed"]
    for count, one, many in (
        (counts["dead_lettered"], "dead letter", "dead letters"),
        (counts["cancelled"], "cancelled", "cancelled"),
        (unfinished, "not finished", "not finished"),
        (status.rejected, "invalid line skipped", "invalid lines skipped"),
    ):
        if count:
            say(f"            {_counted(count, one, many)}")
    refused = f", {number(status.rate_limited)} refused by rate limits" if status.rate_limited else ""
    say(f"  requests  {number(status.attempts)} sent{refused}")
    say(f"  tokens    {number(status.tokens.input)} in, {number(status.tokens.output)} out")
    if written is not None:
        say(f"  results   {shown_path(written.results)}")
        if written.errors:
            say(f"  errors    {shown_path(written.errors)}")
    repeated = random_repeats(database, job) if status.cached else 0
    if repeated:
        say(f"note: {advice(repeated)}")
    _say_next(status)


def _say_next(status: JobStatus) -> None:
    if status.paused is not None:
        say(f"paused: {status.paused['message']}")
        say(f"  → {status.paused['fix']}")
        say(f"next: batcher resume {status.job}")
    elif status.state in {ShownState.PENDING, ShownState.INTERRUPTED, ShownState.RUNNING}:
        if status.state is ShownState.RUNNING:
            say(
                f"another process (pid {status.runner_pid}) goes on with it; `batcher cancel {status.job}` ends it"
            )
        say(f"next: batcher resume {status.job}   (so far: batcher results {status.job} --partial -o -)")
    elif status.counts["dead_lettered"]:
        say(f"next: batcher dlq summary --job {status.job}")
    else:
        say(f"next: batcher status {status.job}")
