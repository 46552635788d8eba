"""One attempt at a request: admitted, then back with what came of it."""

from msgspec import Struct

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import RateHints
from batcher.domain.outcomes import Failure, Outcome
from batcher.domain.requests import Claim
from batcher.ports import Reservation, Sender
from batcher.worker.run_state import Lane


class Dispatch(Struct, frozen=True):
    """An admitted request that is to be sent. Sender and lane were chosen at the admission, and stay."""

    lane: Lane
    claim: Claim
    reservation: Reservation
    #: It is sent during an outage, to learn whether the outage is over.
    probe: bool
    #: The job's sender at the admission: the job may get another one before the request is sent.
    sender: Sender
    #: The how manieth request of its route in this run it is, from 1.
    number: int
    #: Its route is held, and it is sent to learn whose fault the failures are.
    alone: bool


class AnsweredSince(Struct, frozen=True, kw_only=True):
    """Whether other requests were answered since one was sent: of its lane, and of any lane of its endpoint."""

    lane: bool
    endpoint: bool


#: One of these is looked up for every attempt, which is quicker than making one.
ANSWERED_SINCE = {
    (lane, endpoint): AnsweredSince(lane=lane, endpoint=endpoint)
    for lane in (False, True)
    for endpoint in (False, True)
}


class Attempt(Struct, frozen=True, kw_only=True):
    """A request that came back: what it brought, and what that means."""

    lane: Lane
    claim: Claim
    reservation: Reservation
    number: int
    alone: bool
    result: Reply | TransportFault
    outcome: Outcome
    answered: AnsweredSince
    #: What its reply's headers say about limits; None if there was none.
    hints: RateHints | None = None

    @property
    def failure(self) -> Failure:
        """Return the outcome of an attempt that is known to have failed."""
        assert isinstance(self.outcome, Failure)  # noqa: S101 - for the type checker
        return self.outcome

    @property
    def status(self) -> int | None:
        """Return the HTTP status of the reply; None if there was none."""
        return self.result.status if isinstance(self.result, Reply) else None

    @property
    def was_sent(self) -> bool:
        """Return whether the provider may have seen the request."""
        return isinstance(self.result, Reply) or self.result.sent
