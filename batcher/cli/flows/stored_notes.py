"""Say what became of a job file: a new job and its rows, or the job that it has, and where its answers go."""

from collections.abc import Sequence

from batcher.cli.flows.limit_notes import say_limits_without_model
from batcher.cli.params.job_options import FileOptions
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import display_path, letter_count, note, number, row_count
from batcher.config import Flags
from batcher.config.table import CACHE
from batcher.domain.jobs import Job
from batcher.domain.messages import Words
from batcher.domain.states import CacheMode, JobState
from batcher.policy.input.deduplication import advice
from batcher.policy.urls import shown_base_url
from batcher.ports import Store
from batcher.services.jobs.manage import models_of
from batcher.services.jobs.repeats import earlier_answers, random_repeats, shared_rows
from batcher.services.jobs.submit import Submitted
from batcher.services.results.write import remembered_output


def say_new(database: Store, submitted: Submitted, given: FileOptions) -> None:
    """Say that a file was stored, what it shares with earlier jobs, and what that means for the bill."""
    job, before, beside = submitted.job, submitted.changed_from, submitted.endpoint_of
    if given.quiet:
        return
    if before is not None:
        shared = shared_rows(database, job, before)
        same = f"; {number(shared)} of its {number(job.total)} rows stood there too" if shared else ""
        note(f"{job.source_name} has changed since job {before.id}; this is a new job{same}")
    note(f"job {job.id} ({job.name}): {row_count(job.total)} stored")
    if beside is not None:
        note(f"  no endpoint was named, so it goes where job {beside.id} went: {shown_base_url(job.base_url)}")
    say_earlier_answers(database, job, given)
    for each in submitted.notes:
        note(f"note: {words(each)}")
    repeated = random_repeats(database, job) if submitted.followers else 0
    if repeated:
        note(f"note: {words(advice(repeated))}")


def say_earlier_answers(database: Store, job: Job, given: FileOptions) -> None:
    """Say how many rows were answered before: reused, or paid again with the flag that would reuse them."""
    if job.settings.simulate:
        return
    answered = earlier_answers(database, job)
    if not answered:
        return
    if job.settings.reuse_earlier:
        note(f"  {_of_rows(answered, job.total)} answered before; those answers are used again")
        return
    stop = "stop this run, then " if given.runs else ""
    note(
        f"note: {_of_rows(answered, job.total)} answered before and will be sent again; to use those answers "
        f"instead, {stop}`batcher resume {job.id} {CACHE.flag} {CacheMode.ALL}`"
    )


def _of_rows(count: int, total: int) -> str:
    return f"{number(count)} of its {number(total)} rows {'was' if count == 1 else 'were'}"


def say_known(
    job: Job, changes: Sequence[Words], given: FileOptions, *, retried: int, place: str | None, is_named: bool
) -> None:
    """Say which job the file has, what happens to it, and where its answers go.

    `place`: the results file of this run, if the file is known under another name. `is_named`: the command names
    the endpoint itself.
    """
    if given.quiet:
        return
    if place is not None:
        note(f"{given.file} holds the same requests as {job.source_name}; their answers are those of job {job.id}")
    where = "" if is_named else f", at {shown_base_url(job.base_url)}"
    note(f"job {job.id} ({job.name}): {_next_step(job, given, retried=retried, place=place, where=where)}")
    for change in changes:
        note(f"  now {words(change)}")
    if given.name not in {None, job.name}:
        note(f"  the job keeps its name {job.name}; --new creates a new job")


def _next_step(job: Job, given: FileOptions, *, retried: int, place: str | None, where: str) -> str:
    if retried:
        return (
            f"this file is already stored; {letter_count(retried)} {'is' if retried == 1 else 'are'} pending "
            f"again{where}"
        )
    if job.state is JobState.OPEN:
        return f"this file is already stored; the job continues where it stopped{where}"
    if given.runs:
        again = "written" if place is not None else "written again"
        return (
            f"already finished{where}; nothing is sent, {display_path(place or remembered_output(job))} is {again}"
        )
    return f"already finished{where}; `batcher results {job.id}` writes its results again"


def say_unknown_models(database: Store, job: Job, flags: Flags, given: FileOptions) -> None:
    """Say which limits were given for a model that the job does not have: they limit nothing."""
    if not given.quiet:
        say_limits_without_model(models_of(database, [job]), flags)
