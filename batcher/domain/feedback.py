"""What a request that came back says about its lane's limits. The budget learns from nothing else."""

from msgspec import Struct

from batcher.domain.lanes import RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.states import RefusalCause, RequestEnd


class Feedback(Struct, frozen=True, kw_only=True):
    """How a request ended, and what its reply states."""

    end: RequestEnd
    #: Tokens as the provider counted them; None: not known, as of a request that was given up.
    usage: Usage | None = None
    #: The limits that the headers of its reply announce; None: there was no reply.
    hints: RateHints | None = None
    #: What a refusal says there was too much of, and so which limit adapts. None: none does.
    cause: RefusalCause | None = None
    #: The wait that a refusal states, in microseconds; None, or 0 and less: no time is stated.
    wait_us: int | None = None
    #: U[0, 1); it only ever lengthens a wait.
    jitter: float = 0.0
    #: The refusal asks for traffic to begin again at a low rate.
    restart_ramp: bool = False

    @property
    def stated_wait_s(self) -> float | None:
        """Return the wait in seconds; None if no time is stated."""
        return self.wait_us / 1e6 if self.wait_us is not None and self.wait_us > 0 else None


class Finished(Struct, frozen=True, kw_only=True):
    """What follows for the lane."""

    #: The end of its cool-down in UTC microseconds, after a refusal.
    cooling_until: int | None = None
    #: A request timed out because it waited in a queue at the server.
    queued: bool = False
