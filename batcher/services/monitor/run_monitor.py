"""Watches the jobs of one command: by the events of this process's runner, or in the store of a live one."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from batcher.domain.errors import UnknownJob
from batcher.domain.events import (
    AttemptEnded,
    BreakerChanged,
    DrainStarted,
    Event,
    JobFinished,
    LaneCooling,
    RequestsSettled,
    SendingPaused,
)
from batcher.domain.jobs import Job
from batcher.domain.outcomes import PauseCause
from batcher.policy.rate_meter import RateMeter, seconds_left
from batcher.ports import Clock, OwnRunner, Store
from batcher.services.monitor.own_events import concerns
from batcher.services.monitor.run_view import RunView
from batcher.services.monitor.totals import totals_of

#: Seconds between two looks into the store while another process runs the jobs.
_FOLLOW_SECONDS = 1.0


class RunMonitor:
    """A listener that can be asked at any time what the jobs look like. The run never waits for it.

    `runner` returns the runner of this process, or None while another process runs the jobs.
    """

    def __init__(
        self, database: Store, jobs: Sequence[Job], clock: Clock, *, runner: Callable[[], OwnRunner | None]
    ) -> None:
        self._database = database
        self._clock = clock
        self._runner = runner
        self._ids = [job.id for job in jobs]
        self._jobs = frozenset(self._ids)
        self._total = sum(job.total for job in jobs)
        self._totals = totals_of(database, self._ids)
        self._requests, self._tokens = RateMeter(), RateMeter()
        self._cooling: LaneCooling | None = None
        self._pause: PauseCause | None = None
        self._outage: BreakerChanged | None = None
        self._drain: DrainStarted | None = None
        self._drain_at = 0.0
        #: Set if a pause, an outage or a drain should be shown at once.
        self.is_urgent = asyncio.Event()

    def emit(self, event: Event) -> None:
        """Take note of an event. Those of other jobs, which the runner may run too, are not counted."""
        if not concerns(event, self._jobs, self._runner()):
            return
        totals = self._totals
        match event:
            case AttemptEnded():
                totals.attempts += int(event.sent)
                totals.tokens += (event.input_tokens or 0) + (event.output_tokens or 0)
            case RequestsSettled():
                totals.completed += len(event.completed)
                totals.dead_lettered += len(event.dead_lettered)
                totals.cached += event.cached
            case LaneCooling():
                self._cooling = event
            case SendingPaused():
                self._pause = event.cause
                self.is_urgent.set()
            case BreakerChanged():
                self._outage = event if event.open else None
                self.is_urgent.set()
            case DrainStarted():
                self._drain, self._drain_at = event, asyncio.get_running_loop().time()
                self.is_urgent.set()
            case JobFinished():
                pass

    async def follow(self, until: Callable[[], bool]) -> None:
        """Read the totals once a second while another process runs the jobs, until `until` returns True.

        It also ends if one of the jobs is deleted.
        """
        self._drain = None
        with suppress(UnknownJob):
            while not until():
                totals = await asyncio.to_thread(totals_of, self._database, self._ids)
                # Meanwhile this process may have become the runner; then its events count.
                if self._runner() is None:
                    self._totals = totals
                await asyncio.sleep(_FOLLOW_SECONDS)

    def view(self) -> RunView:
        """Return what the jobs look like now. Rates are measured from one call to the next."""
        runner, totals, now = self._runner(), self._totals, asyncio.get_running_loop().time()
        self._requests.sample(now, totals.attempts)
        self._tokens.sample(now, totals.tokens)
        in_flight, per_second = totals.in_flight, totals.settled_per_second
        if runner is not None:
            snapshot = runner.snapshot()
            in_flight = sum(snapshot.sending.get(job_id, 0) for job_id in self._ids)
            per_second = sum(snapshot.rates.get(job_id, 0.0) for job_id in self._ids)
        unfinished = self._total - totals.completed - totals.dead_lettered
        return RunView(
            at=self._clock.now(),
            total=self._total,
            answered=totals.completed,
            dead_letters=totals.dead_lettered,
            cached=totals.cached,
            in_flight=in_flight,
            requests_per_minute=self._requests.per_minute(),
            tokens_per_minute=self._tokens.per_minute(),
            seconds_left=seconds_left(unfinished, per_second),
            lanes=[] if runner is None else runner.lanes(self._jobs),
            drain=self._drain,
            draining_seconds=now - self._drain_at,
            pause=self._pause,
            outage=self._outage,
            cooling=self._cooling,
        )
