"""The counts of several jobs, and how they grow while another process runs the jobs."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec import Struct

from batcher.domain.errors import UnknownJob
from batcher.domain.ids import JobId
from batcher.ports import Store
from batcher.services.monitor.live_runner import in_flight, live_runner
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts

_SECONDS = 1.0


class Totals(Struct, frozen=True, kw_only=True):
    """The counts of several jobs, added up."""

    completed: int
    dead_lettered: int
    cached: int
    attempts: int
    tokens: int
    in_flight: int


class JobFollower:
    """Reports the totals of the followed jobs once a second."""

    def __init__(self, database: Store, followed: Sequence[JobId], report: Callable[[Totals], None]) -> None:
        self._database = database
        self._followed = followed
        self._report = report

    async def run(self, until: Callable[[], bool]) -> None:
        """Report until cancelled, or until `until` returns True or one of the jobs is deleted."""
        with suppress(UnknownJob):
            await self._follow(until)

    async def _follow(self, until: Callable[[], bool]) -> None:
        while not until():
            self._report(await asyncio.to_thread(totals_of, self._database, self._followed))
            await asyncio.sleep(_SECONDS)


def totals_of(database: Store, job_ids: Sequence[JobId]) -> Totals:
    """Return the totals of the jobs now."""
    runner = live_runner(database)
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
    )
