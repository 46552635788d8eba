"""The counts of several jobs, added up: how far they are, and what the live runner does of them."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.ids import JobId
from batcher.ports import Store
from batcher.services.monitor.live_runner import in_flight, live_runner
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts


class Totals(Struct, kw_only=True):
    """The totals of several jobs. They grow by the runner's events, or are read from the store again."""

    completed: int = 0
    dead_lettered: int = 0
    cached: int = 0
    attempts: int = 0
    tokens: int = 0
    #: By the live runner's last snapshot: requests in flight, and requests settled per second.
    in_flight: int = 0
    settled_per_second: float = 0.0


def totals_of(database: Store, job_ids: Sequence[JobId]) -> Totals:
    """Return the totals of the jobs now. Raises UnknownJob if one of them is deleted."""
    runner = live_runner(database)
    rates = {} if runner is None or runner.snapshot is None else runner.snapshot.rates
    with database.read() as connection:
        counts = [job_counts.counts(connection, jobs.get(connection, job_id)) for job_id in job_ids]
    return Totals(
        completed=sum(each.completed for each in counts),
        dead_lettered=sum(each.dead_lettered for each in counts),
        cached=sum(each.cached for each in counts),
        attempts=sum(each.attempts for each in counts),
        tokens=sum(each.input_tokens + each.output_tokens for each in counts),
        in_flight=sum(
            in_flight(runner, job_id, each.claimed) for job_id, each in zip(job_ids, counts, strict=True)
        ),
        settled_per_second=sum(rates.get(job_id, 0.0) for job_id in job_ids),
    )
