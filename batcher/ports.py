"""The seams of the worker: small Protocols, each method a contract."""

from collections.abc import Awaitable, Iterable, Sequence
from typing import Protocol

from batcher.domain.events import Event
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job, Orders
from batcher.domain.lanes import Charge, LaneKey, LaneMemory, LaneView, RateHints, StoredLane, TokenLimit
from batcher.domain.outcomes import PauseCause, Usage
from batcher.domain.requests import Claim, Claimed, Route, SettledIds, Want
from batcher.domain.settings import Limits
from batcher.domain.settlements import Settlement
from batcher.domain.states import RefusedFor


class Clock(Protocol):
    """Wall time, for what is persisted. Everything else asks the event loop's monotonic time."""

    def now(self) -> int:
        """UTC microseconds."""
        ...


class Events(Protocol):
    """Where the core tells what happens. Logs, progress and iterators listen."""

    def emit(self, event: Event) -> None:
        """Tell the listeners. Returns at once; never raises."""
        ...

    def is_behind(self, job_id: JobId) -> bool:
        """Whether a listener has enough of this job for now: none of it is claimed until the worker is woken."""
        ...


class Queue(Protocol):
    """The durable queue as one holder sees it. Every result is returned once it is on disk.

    What is no coroutine is given with the call itself, and done in the order of the calls.
    """

    @property
    def disk_is_slow(self) -> bool:
        """Whether a group waits for the disk above all: then the next is written meanwhile, if it is given."""
        ...

    def claim(self, wants: Sequence[Want], *, most_bytes: int, alone: bool = False) -> Awaitable[Claimed]:
        """Claim requests for this holder, and settle on the way those whose answer is known.

        Due retries first, then fresh rows in file order. At most `most_bytes` of bodies, but one request at
        least. `alone`: a single request that several holders died with.
        """
        ...

    def settle(self, settlements: Sequence[Settlement]) -> Awaitable[Sequence[SettledIds]]:
        """End claims, each only if this holder still holds that send. Giving a group twice changes nothing.

        Returns what reached its end by it, followers included.
        """
        ...

    def exchange(
        self, settlements: Sequence[Settlement], wants: Sequence[Want], *, most_bytes: int
    ) -> Awaitable[tuple[Sequence[SettledIds], Claimed]]:
        """Settle a group and claim the next, in one commit where the two would take one each."""
        ...

    async def beat(self, snapshot: str) -> Orders:
        """Say that this holder lives and what it does; learn which jobs people want."""
        ...

    async def job(self, job_id: JobId) -> tuple[Job, Sequence[Route]]:
        """A job as it stands now, marked as started, and what its requests ask for."""
        ...

    async def open_lane(self, key: LaneKey) -> StoredLane:
        """The lane with what is remembered of it, made where it is new."""
        ...

    def save_lane(self, lane: StoredLane) -> Awaitable[None]:
        """Remember the lane as given."""
        ...

    async def pause(self, cause: PauseCause, ref: str) -> None:
        """Write a pause down; `ref` says what of the cause's scope is paused."""
        ...

    async def finish(self, jobs: Sequence[JobId]) -> Sequence[JobId]:
        """Close those of the jobs whose every request is at its end; returns them."""
        ...

    async def add_active(self, jobs: Sequence[JobId], spent_us: int) -> None:
        """Count time that was worked on the jobs."""
        ...


class Flights(Protocol):
    """Which claims are out, told so that it outlives this process: only those can have killed it."""

    def begin(self, claim: Claim) -> None:
        """The claim goes out next, once `record` was called. Returns at once; never raises."""
        ...

    def record(self) -> None:
        """Have all that began written down: called before any of it is sent. Returns at once; never raises."""
        ...

    def end(self, claims: Iterable[Claim]) -> None:
        """Their settlements are on disk; some may never have begun. Returns at once; never raises."""
        ...


class Sender(Protocol):
    """HTTP out to one endpoint with one key."""

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        """One exchange. Never raises for what a server or the network did; only cancellation passes through.

        `path` is a plain path under `/v1/`; `body` goes out as it is.
        """
        ...


class Reservation(Protocol):
    """A place in a lane's budget that one request has taken."""

    @property
    def lane(self) -> LaneKey:
        """The lane it was taken from."""
        ...


class Budget(Protocol):
    """The limits in force: requests and tokens a minute and requests in flight of every lane, and cool-downs."""

    def open_lane(
        self,
        lane: LaneKey,
        limits: Limits,
        *,
        cooling_until: int | None,
        memory: LaneMemory = ...,
    ) -> None:
        """Make a lane known, or change its given limits. Starts drained.

        `cooling_until` is UTC microseconds; `memory` is what an earlier run left, of a lane that is not known yet.
        """
        ...

    def never_fits(self, lane: LaneKey, charge: Charge) -> TokenLimit | None:
        """The limit that the stated maximum of the charge alone is over, so that no waiting helps; None: none."""
        ...

    def memory(self, lane: LaneKey) -> LaneMemory:
        """What the next run is to know of the lane."""
        ...

    async def reserve(self, lane: LaneKey, charge: Charge) -> Reservation:
        """Wait until every dimension has room and the lane is not cooling down, then take from all at once.

        One task a lane calls this, in the order in which requests shall go: first come, first admitted.
        Cancelling the wait takes nothing.
        """
        ...

    def cancel(self, reservation: Reservation) -> None:
        """Give all of it back: nothing was sent."""
        ...

    def reconcile(self, reservation: Reservation, usage: Usage | None) -> None:
        """The request has come back: its place in flight is free. Tokens go back only where the rule allows it."""
        ...

    def answered(self, lane: LaneKey) -> None:
        """A success: the adaptive level of the lane may grow."""
        ...

    def heed(self, lane: LaneKey, hints: RateHints) -> None:
        """Adopt what reply headers say, never above what the user gave."""
        ...

    def cool_down(
        self,
        lane: LaneKey,
        *,
        wait_us: int | None,
        jitter: float,
        restart_ramp: bool,
        why: RefusedFor | None = None,
    ) -> int:
        """A refusal: admit nobody for `wait_us` (None: own growing wait) and a little more, then ramp up.

        `jitter` is U(0, 1) and only ever lengthens. `why` is what there was too much of, and so what adapts; None:
        nothing does. Returns the end in UTC microseconds.
        """
        ...

    def view(self, lane: LaneKey) -> LaneView:
        """The lane as `status` shows it."""
        ...
