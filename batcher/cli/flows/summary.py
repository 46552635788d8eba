"""The summary at the end of a run, which names the next command, and the exit code."""

import shlex
import sys
from collections.abc import Mapping, Sequence

from batcher.cli.terminal.errors import DEAD_LETTERS, PAUSED
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import (
    display_path,
    duration,
    letter_count,
    note,
    number,
    print_json,
    say,
    say_verbatim,
)
from batcher.cli.terminal.streams import discard
from batcher.config.table import API_KEY_ENV, BASE_URL, CACHE, SIMULATE
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import CacheMode, PauseReason, ShownState
from batcher.policy.input.deduplication import advice
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Clock, Store
from batcher.services.jobs.repeats import random_repeats
from batcher.services.monitor.status import JobStatus, job_status
from batcher.services.results import odd_answers
from batcher.services.results.export import Exported


def summarize(
    database: Store,
    jobs: Sequence[Job],
    written: Mapping[JobId, Exported],
    *,
    clock: Clock,
    as_json: bool,
    as_list: bool,
    left_out: Sequence[Job] = (),
) -> int:
    """Print how every job ended; return the exit code, which a signal overrides.

    `as_list`: the JSON is a list of jobs, as `batcher status --json` prints it, not one job. `left_out`: jobs that
    could not run, which that list holds too.
    """
    statuses = [job_status(database, job, now=clock.now()) for job in jobs]
    try:
        if as_json:
            for place in (place for each in written.values() for place in each.kept):
                note(f"kept {display_path(place)}, which another job has written")
            others = [job_status(database, job, now=clock.now()) for job in left_out]
            listed = sorted([*statuses, *others], key=lambda status: status.job)
            print_json({"data": listed} if as_list else statuses[0])
        else:
            for job, status in zip(jobs, statuses, strict=True):
                _say_status(database, job, status, written.get(job.id))
    except OSError:
        # The reader is gone, for example a closed terminal. The exit code still reports how the run ended.
        discard(sys.stdout)
    return exit_code(statuses)


def exit_code(statuses: Sequence[JobStatus]) -> int:
    """Return 4 if a job is paused, else 3 if a row has no answer (dead, cancelled or invalid), else 0.

    See docs/exit-codes.md.
    """
    if any(status.state is ShownState.PAUSED for status in statuses):
        return PAUSED
    if any(_has_unanswered(status) for status in statuses):
        return DEAD_LETTERS
    return 0


def with_blocked(code: int) -> int:
    """Return the exit code of a run beside which other jobs could not start: they wait for a person, too."""
    return PAUSED if code in {0, DEAD_LETTERS} else code


def _has_unanswered(status: JobStatus) -> bool:
    counts = status.counts
    return bool(counts["dead_lettered"] or counts["cancelled"] or status.rejected)


def _say_status(database: Store, job: Job, status: JobStatus, written: Exported | None) -> None:
    counts = status.counts
    elapsed = f" after {duration(status.elapsed_seconds)}" if status.elapsed_seconds >= 1 else ""
    say(f"job {status.job} ({status.name}) {status.state}{elapsed}")
    first, *others = row_counts(status)
    say(f"  rows      {number(counts['total'])}: {first}")
    for text in others:
        say(f"            {text}")
    refused = f", {number(status.rate_limited)} refused by rate limits" if status.rate_limited else ""
    say(f"  requests  {number(status.attempts)} sent{refused}")
    say(f"  tokens    {number(status.tokens.input)} in, {number(status.tokens.output)} out")
    if written is not None:
        so_far = " (the rows answered so far)" if status.state is ShownState.PAUSED else ""
        say(f"  results   {display_path(written.results)}{so_far}")
        if written.errors:
            say(f"  errors    {display_path(written.errors)}")
        for place in written.kept:
            say(f"  kept      {display_path(place)}, which another job has written")
    for text in odd_answers.notes(
        database, job, truncated=status.truncated, empty=status.empty, unchecked=status.unchecked
    ):
        say(f"note: {text}")
    repeated = random_repeats(database, job) if status.cached else 0
    if repeated:
        say(f"note: {words(advice(repeated))}")
    _say_next(job, status)


def row_counts(status: JobStatus) -> list[str]:
    """Describe the rows of a job: `90 answered (3 cached)`, then each other count that is not zero."""
    counts = status.counts
    kinds = (
        (status.cached, "cached"),
        (status.truncated, "truncated"),
        (status.empty, "empty"),
        (status.unchecked, "unchecked"),
    )
    of_them = ", ".join(f"{number(count)} {kind}" for count, kind in kinds if count)
    texts = [f"{number(counts['completed'])} answered{f' ({of_them})' if of_them else ''}"]
    if status.in_flight:
        texts.append(f"{number(status.in_flight)} in flight")
    if pending := counts["pending"] + counts["claimed"] - status.in_flight:
        texts.append(f"{number(pending)} pending")
    if counts["dead_lettered"]:
        texts.append(letter_count(counts["dead_lettered"]))
    if counts["cancelled"]:
        texts.append(f"{number(counts['cancelled'])} cancelled")
    if status.rejected:
        texts.append(f"{number(status.rejected)} invalid line{'' if status.rejected == 1 else 's'} skipped")
    return texts


def _say_next(job: Job, status: JobStatus) -> None:
    if status.paused is not None:
        say(f"paused: {words(status.paused['message'])}")
        say(f"  → {words(status.paused['fix'])}")
        if status.paused["reason"] == PauseReason.MODEL:
            _say_other_model(job)
        say(f"next: batcher resume {status.job}")
    elif status.state in {ShownState.PENDING, ShownState.INTERRUPTED, ShownState.RUNNING}:
        if status.state is ShownState.RUNNING:
            say(
                f"another process (pid {status.runner_pid}) is still running it; to stop that without giving rows "
                f"up, `kill {status.runner_pid}`: it ends when its requests in flight have"
            )
        say(f"next: batcher resume {status.job}   (so far: batcher results {status.job} --partial -o -)")
    elif status.counts["dead_lettered"]:
        say(f"next: batcher dlq summary --job {status.job}")
    else:
        say(f"next: batcher status {status.job}")


def _say_other_model(job: Job) -> None:
    """Print the command that runs the waiting rows with another model."""
    if job.source_path is not None:
        say("  → if the name is wrong, correct it in the job file and run it: the answers so far are reused")
        say_verbatim(f"    {_run_again(job)}")


def _run_again(job: Job) -> str:
    settings = job.settings
    words = ["batcher", "run", display_path(job.source_path or job.source_name)]
    if settings.simulate:
        words.append(SIMULATE.flag)
    elif settings.base_url != BASE_URL.default:
        words += [BASE_URL.flag, shown_base_url(settings.base_url)]
    if settings.api_key_env != API_KEY_ENV.default:
        words += [API_KEY_ENV.flag, settings.api_key_env]
    if settings.cache is CacheMode.ALL and not settings.reuse_earlier:
        words += [CACHE.flag, CacheMode.ALL]
    return shlex.join(words)
