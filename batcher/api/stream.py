"""Yields the rows of a job as they finish, each once, earlier ones first. A slow consumer slows sending."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from time import monotonic

from batcher.api.results import Result, result_of
from batcher.domain.events import Event, RequestsSettled
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.ports import Store
from batcher.services.results import pages
from batcher.services.runs.run import RunControl, RunEnd

#: Rows that may wait for the consumer before sending stops.
_MOST_WAITING = 256
#: Rows read from the store at once: of those that just finished, and of those that were finished before.
_PAGE, _STORED_PAGE = 64, 1_000
#: How often a job that another process runs is polled at most. A poll may use that share of the time.
_POLL_SECONDS = 0.5
_SHARE_OF_LOOKING = 0.1


class Arrivals:
    """`ports.Events` for one job: keeps the ids of finished rows until they are read."""

    def __init__(self, job_id: JobId, control: RunControl) -> None:
        self._job_id = job_id
        self._control = control
        self._waiting: list[RequestId] = []
        self._came = asyncio.Event()

    def emit(self, event: Event) -> None:
        """See `ports.Events`."""
        if isinstance(event, RequestsSettled) and event.job_id == self._job_id:
            self._waiting += [*event.completed, *event.dead_lettered]
            self._came.set()

    def is_behind(self, job_id: JobId) -> bool:
        """See `ports.Events`."""
        return job_id == self._job_id and len(self._waiting) >= _MOST_WAITING

    def take(self) -> list[RequestId]:
        """Return the next rows, oldest first; [] if there are none."""
        page, self._waiting = self._waiting[:_PAGE], self._waiting[_PAGE:]
        if page:
            self._control.wake()
        return page

    async def wait(self, seconds: float) -> None:
        """Wait until a row finishes or the time is over."""
        self._came.clear()
        if self._waiting:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            pass

    def wake(self) -> None:
        """Make `wait` return."""
        self._came.set()


class DeliveredRows:
    """Which rows were yielded already: one bit each, over the range of the job's requests."""

    def __init__(self, job: Job) -> None:
        self._first = job.first_request or 0
        self._bits = bytearray(((job.last_request or 0) - self._first) // 8 + 1)
        self.count = 0

    def add(self, request_id: RequestId) -> bool:
        """Add a row; returns whether it is new."""
        place = request_id - self._first
        byte, bit = place >> 3, 1 << (place & 7)
        if self._bits[byte] & bit:
            return False
        self._bits[byte] |= bit
        self.count += 1
        return True


class Stream:
    """One pass over a job's results while it runs."""

    def __init__(self, database: Store, job: Job, arrivals: Arrivals, control: RunControl) -> None:
        self._database = database
        self._job = job
        self._arrivals = arrivals
        self._control = control
        self._running: asyncio.Future[RunEnd] | None = None
        self._delivered = DeliveredRows(job)
        #: Another process runs the job: nothing is emitted here, so the store is polled.
        self.elsewhere = False
        self._next_look = 0.0
        self.error: BaseException | None = None

    async def rows(self, start: Callable[[], Awaitable[RunEnd]]) -> AsyncGenerator[Result]:
        """Yield the finished rows, then those that finish after `start`. Leaving the loop drains the job."""
        for result in self._stored():
            yield result
        self._running = running = asyncio.ensure_future(start())
        running.add_done_callback(lambda _: self._arrivals.wake())
        try:
            while not running.done():
                await self._arrivals.wait(_POLL_SECONDS)
                for result in self._arrived():
                    yield result
            await running
            if self._delivered.count < self._job.total:
                for result in self._stored():
                    yield result
        except asyncio.CancelledError:
            self.stop()
            raise
        finally:
            await self.close()

    def stop(self) -> None:
        """Make `close` wait for nothing.

        Requests in flight are returned to the queue without counting as attempts.
        """
        self._control.stop()

    async def close(self) -> None:
        """Send nothing new and let the requests in flight finish. If it is cancelled meanwhile, it stops waiting.

        `error` holds an exception of the run that happened meanwhile, because there is no consumer left to raise
        it to.
        """
        early = self._running is not None and not self._running.done()
        while self._running is not None and not self._running.done():
            self._control.drain(None)
            # There is no reader any more, so rows that finish must not block the drain.
            while self._arrivals.take():
                pass
            try:
                await asyncio.wait({self._running}, timeout=0.05)
            except asyncio.CancelledError:
                self.stop()
        if early and self._running is not None and not self._running.cancelled():
            self.error = self._running.exception()

    def _arrived(self) -> Iterator[Result]:
        if self.elsewhere and monotonic() >= self._next_look:
            started = monotonic()
            yield from self._stored()
            self._next_look = monotonic() + (monotonic() - started) / _SHARE_OF_LOOKING
        while page := self._arrivals.take():
            while page:
                rows = pages.some(self._database, page)
                yield from (result_of(row) for row in rows if self._delivered.add(row.request_id))
                # Large replies: the others are read when these have been consumed.
                page = [each for each in page if rows and each > rows[-1].request_id]

    def _stored(self) -> Iterator[Result]:
        """Yield every finished row that was not yielded yet: answers in input order, then dead letters."""
        for row in pages.answered(self._database, self._job, most=_STORED_PAGE):
            if self._delivered.add(row.request_id):
                yield result_of(row)
        for letter in pages.dead(self._database, self._job, most=_STORED_PAGE):
            if self._delivered.add(letter.request_id):
                yield result_of(letter)
