"""The seams of the worker: small Protocols, each method a contract. Adapters live in store, sender, budget, clock."""

from typing import Protocol

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import Charge, LaneKey, LaneView, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits


class Clock(Protocol):
    """Wall time, for what is persisted. Everything else asks the event loop's monotonic time."""

    def now(self) -> int:
        """UTC microseconds."""
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

    def open_lane(self, lane: LaneKey, limits: Limits, *, cooling_until: int | None) -> None:
        """Make a lane known, or change its given limits. Starts drained. `cooling_until` is UTC microseconds."""
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

    def cool_down(self, lane: LaneKey, *, wait_us: int | None, jitter: float, restart_ramp: bool) -> int:
        """A refusal: admit nobody for `wait_us` (None: own growing wait) and a little more, then ramp up.

        `jitter` is U(0, 1) and only ever lengthens. Returns the end in UTC microseconds.
        """
        ...

    def view(self, lane: LaneKey) -> LaneView:
        """The lane as `status` shows it."""
        ...
