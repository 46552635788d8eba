"""Retry the smallest dead letter first, and the others only if it is answered."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.errors import UsageError
from batcher.domain.ids import RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.requests import Filters
from batcher.domain.states import RequestState
from batcher.ports import Events, Store
from batcher.services.dead_letters import inspect
from batcher.services.dead_letters.inspect import ShownLetter
from batcher.services.dead_letters.retry import Retried, RetryPlan, put_back
from batcher.services.jobs.manage import live_runner
from batcher.services.monitor.status import JobStatus, job_status
from batcher.services.runs.run import Parts, RunControl, run_jobs
from batcher.store.dead_letters import filters
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts


class ProbePlan(Struct, frozen=True, kw_only=True):
    """The request to send first, and how many others depend on its answer."""

    request: ShownLetter
    job: Job
    others: int


class ProbeResult(Struct, frozen=True, kw_only=True):
    """The outcome of a probe. `retried` are the others; None if the probe was not answered."""

    request: ShownLetter
    job: JobStatus
    retried: Retried | None

    @property
    def was_answered(self) -> bool:
        """Whether the probe was answered, so that the others may be retried."""
        return self.request.state is RequestState.COMPLETED


def pick(database: Store, chosen: RetryPlan) -> ProbePlan:
    """Return the smallest of them, as it would be sent. Raises UsageError if more than that one would be sent.

    A run sends every pending row of a job, so a job with unfinished rows cannot send one row alone.
    """
    with database.read() as connection:
        request = filters.smallest(connection, Filters(requests=tuple(chosen.ids)))
        if chosen.checked is not None:
            request = chosen.checked.smallest
        if request is None:
            raise UsageError("there is no dead letter to probe with", hint=Cause.LIST_LETTERS())
    shown = inspect.show(database, request)
    with database.read() as connection:
        job = jobs.get(connection, shown.job)
        unfinished = job_counts.counts(connection, job).unfinished
    if unfinished:
        raise _not_alone(shown, job, unfinished, live_runner(database))
    return ProbePlan(request=shown, job=job, others=len(chosen.ids) - 1)


def _not_alone(shown: ShownLetter, job: Job, unfinished: int, runner: int | None) -> UsageError:
    rows = "1 row" if unfinished == 1 else f"{unfinished:,} rows"
    by = "" if runner is None else f" (runner: pid {runner})"
    return UsageError(
        f"request {shown.request} cannot be sent alone: job {job.id} ({job.name}) has {rows} unfinished{by}, "
        "which a probe would send too; nothing was changed",
        hint=Cause.PROBE_LATER(job=job.id),
    )


async def send(
    database: Store,
    probe: ProbePlan,
    chosen: RetryPlan,
    parts: Parts,
    *,
    events: Events,
    control: RunControl,
    handed_over: Callable[[int | None], None],
) -> ProbeResult:
    """Put the probe back and run it, here or in the live runner; if it is answered, put the others back too."""
    first = probe.request.request
    put_back(database, replace(chosen, ids=[first]))
    await run_jobs(
        database,
        [probe.job.id],
        parts,
        events=events,
        concurrency=1,
        control=control,
        handed_over=handed_over,
    )
    shown = inspect.show(database, first)
    answered = shown.state is RequestState.COMPLETED
    retried = put_back(database, replace(chosen, ids=_without(first, chosen))) if answered else None
    with database.read() as connection:
        job = jobs.get(connection, probe.job.id)
    return ProbeResult(request=shown, job=job_status(database, job, now=parts.clock.now()), retried=retried)


def _without(first: RequestId, chosen: RetryPlan) -> list[RequestId]:
    return [request for request in chosen.ids if request != first]
