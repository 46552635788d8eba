"""What one request has taken of its lane's limits, and what is reported when it was refused."""

from msgspec import Struct

from batcher.budget.tokens import Taken
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import Usage
from batcher.domain.states import RefusalCause
from batcher.policy.rate.rate_search import Refusal


class GateReservation(Struct, eq=False):
    """A `Reservation`: what one request has taken, until it is cancelled or comes back.

    Built by position, because keyword arguments cost time at every admission.
    """

    lane: LaneKey
    #: Loop time in seconds.
    at: float
    taken: Taken
    #: Input for the rate search if this request is refused. None if a request limit is known.
    mark: Refusal | None
    #: The cool-down epoch in which it was admitted.
    epoch: int
    probe: bool
    #: Requests in flight, including it.
    beside: int
    #: Tokens that the daily quota is charged.
    of_the_day: float
    held: bool = True
    usage: Usage | None = None
    refused: bool = False


class CoolDownRequest(Struct, frozen=True, kw_only=True):
    """Why nothing is to be admitted for a while."""

    #: None: not a refusal, but a reason of our own to hold the lane.
    why: RefusalCause | None = None
    #: Seconds to wait; None if no time was stated.
    stated_wait_s: float | None = None
    #: U(0, 1); only ever lengthens the wait.
    jitter: float = 0.0
    restart_ramp: bool = False
