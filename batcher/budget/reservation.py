"""What one request has taken of its lane's limits."""

from msgspec import Struct

from batcher.budget.tokens import Taken
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import Usage
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
