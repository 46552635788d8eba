"""What the worker depends on."""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from batcher.domain.events import Event, RequestsSettled
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.feedback import Feedback, Finished
from batcher.domain.ids import JobId, LaneId, RouteId
from batcher.domain.jobs import Job, Orders, RunnerSnapshot
from batcher.domain.lanes import Charge, LaneKey, LaneMemory, LaneView, StoredLane, TokenLimit
from batcher.domain.outcomes import Failure, PauseCause, Success
from batcher.domain.requests import Claim, ClaimResult, Route, RouteDemand, RouteHistory
from batcher.domain.settings import Limits
from batcher.domain.settlements import Settlement


class Clock(Protocol):
    """Wall time, for what is persisted. Everything else uses the event loop's monotonic time."""

    def now(self) -> int:
        """Return the time in UTC microseconds."""
        ...


class Events(Protocol):
    """Where the core reports what happens. Logs, progress and iterators listen."""

    def emit(self, event: Event) -> None:
        """Notify the listeners. Returns at once; never raises."""
        ...

    def is_behind(self, job_id: JobId) -> bool:
        """Return whether a listener has enough of this job for now.

        None of it is claimed until the worker is woken.
        """
        ...


class Queue(Protocol):
    """The durable queue as one holder sees it. Every result is returned after it is on disk.

    A method that is not a coroutine takes effect with the call itself, and calls take effect in their order.
    """

    @property
    def pipeline_depth(self) -> int:
        """Return how many batches may be on their way to the disk at a time: 1, or several on a slow disk."""
        ...

    def claim(
        self, wants: Sequence[RouteDemand], *, most_bytes: int, alone: bool = False
    ) -> Awaitable[ClaimResult]:
        """Claim requests for this holder, and settle on the way those whose answer is already known.

        Due retries come first, then fresh rows in file order. At most `most_bytes` of bodies are claimed, but at
        least one request. `alone`: claim a single request with which several holders died.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> Awaitable[Sequence[RequestsSettled]]:
        """End claims, each only if this holder still holds that send. Settling a batch twice changes nothing.

        Returns the requests that were settled by it, followers included.
        """
        ...

    def exchange(
        self, settlements: Sequence[Settlement], wants: Sequence[RouteDemand], *, most_bytes: int
    ) -> Awaitable[tuple[Sequence[RequestsSettled], ClaimResult]]:
        """Settle a batch and claim the next one, in one commit instead of two."""
        ...

    async def share_ends(self) -> tuple[Sequence[RequestsSettled], bool]:
        """End followers that were too many for the commit of their leader; return them, and whether more are left.

        Bounded: others that use the store are held up for one chunk.
        """
        ...

    async def beat(self, snapshot: RunnerSnapshot, views: Mapping[LaneId, LaneView]) -> Orders:
        """Record that this holder is alive, what it has in hand, and the lanes that changed.

        Returns which jobs are requested.
        """
        ...

    async def job(self, job_id: JobId) -> tuple[Job, Sequence[Route]]:
        """Return a job as it stands now, marked as started, and its routes."""
        ...

    async def history(self, job: Job) -> Mapping[RouteId, RouteHistory]:
        """Return what earlier runs have left of the job's routes; a route without a past may be missing."""
        ...

    async def open_lane(self, key: LaneKey) -> StoredLane:
        """Return the lane with what is remembered of it; create it if it is new."""
        ...

    def save_lane(self, lane: StoredLane) -> Awaitable[None]:
        """Store the lane as given."""
        ...

    async def pause(self, cause: PauseCause, ref: str) -> None:
        """Record a pause; `ref` says what of the cause's scope is paused."""
        ...

    async def finish(self, jobs: Sequence[JobId]) -> Sequence[JobId]:
        """Close those of the jobs whose requests are all settled; return them."""
        ...

    async def add_active(self, jobs: Sequence[JobId], active_us: int) -> None:
        """Add working time, in microseconds, to the jobs."""
        ...


class InFlightLog(Protocol):
    """In-flight log: records which claims were sent, in a form that outlives this process.

    Only those can have killed it.
    """

    def begin(self, claim: Claim) -> None:
        """The claim is about to be sent, once `record` was called. Returns at once; never raises."""
        ...

    def record(self) -> None:
        """Write down every claim that began; called before any of them is sent. Returns at once; never raises."""
        ...

    def end(self, claims: Iterable[Claim]) -> None:
        """Note that the settlements of these claims are on disk; some may never have begun.

        Returns at once; never raises.
        """
        ...


class Sender(Protocol):
    """Sends HTTP requests to one endpoint with one key."""

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        """Do one exchange. Never raises for what a server or the network did; only cancellation passes through.

        `path` is a plain path under `/v1/`; `body` is sent unchanged.
        """
        ...


@runtime_checkable
class NamesKey(Protocol):
    """What a sender may know of its key, for what is said about a key that is refused."""

    @property
    def key_place(self) -> str:
        """Return where the key is, if a header of one's own carries it; else ""."""
        ...

    @property
    def missing_key(self) -> str:
        """Return the variable that holds no key, so that none is sent; else ""."""
        ...


class OutputValidator(Protocol):
    """Validates answers against the format that their requests ask for."""

    async def validate(self, success: Success, *, request: bytes, reply: bytes) -> Success | Failure:
        """Return the success, or a failure if the answer is not in the requested format. Takes bounded time.

        An answer that cannot be validated is a success with `unchecked` set.
        """
        ...


class Reservation(Protocol):
    """What one request has taken from a lane's budget."""

    @property
    def lane(self) -> LaneKey:
        """Return the lane that it was taken from."""
        ...


class Budget(Protocol):
    """The limits in force: requests and tokens per minute, requests in flight, and cool-downs, for every lane."""

    def open_lane(
        self,
        lane: LaneKey,
        limits: Limits,
        *,
        cooling_until: int | None,
        memory: LaneMemory = ...,
    ) -> None:
        """Register a lane, or change the limits that were given for it. Its buckets start empty.

        `cooling_until` is UTC microseconds; `memory` is what an earlier run learned, for a lane that is not
        registered yet.
        """
        ...

    def close_lane(self, lane: LaneKey) -> None:
        """Forget a lane of which nothing is in flight."""
        ...

    def never_fits(self, lane: LaneKey, charge: Charge) -> TokenLimit | None:
        """Return the token limit that this request exceeds on its own, so it can never be admitted.

        None if it can.
        """
        ...

    def memory(self, lane: LaneKey) -> LaneMemory:
        """Return what the next run should know of the lane."""
        ...

    def counts_days(self, lane: LaneKey) -> bool:
        """Return whether a limit per day is in force: then use is stored together with the settlements."""
        ...

    async def reserve(self, lane: LaneKey, charge: Charge) -> Reservation:
        """Wait until every limit has room and the lane is not cooling down, then take from all of them at once.

        One task per lane calls this, in the order in which requests are to be sent: first come, first admitted.
        Cancelling the wait takes nothing.
        """
        ...

    def cancel(self, reservation: Reservation) -> None:
        """Give all of it back: nothing was sent."""
        ...

    def finish(self, reservation: Reservation, feedback: Feedback) -> Finished:
        """Free the place of a request that came back, and learn from how it ended. Returns what follows.

        Tokens are refunded only if the charging rule allows it. After a success the adaptive concurrency may grow.
        After a refusal nothing is admitted for the wait that it states, else for our own growing wait; then the
        lane ramps up. Announced limits are adopted, never above what the user gave.
        """
        ...

    def restart(self, lane: LaneKey) -> None:
        """Begin with one request alone and ramp up to what was learned, after an outage or a pause."""
        ...

    def held_for(self, lane: LaneKey) -> float:
        """Return for how many seconds the lane admits no request: a cool-down, or a used-up day. 0.0: for none."""
        ...

    def view(self, lane: LaneKey) -> LaneView:
        """Return the lane as `status` shows it."""
        ...
