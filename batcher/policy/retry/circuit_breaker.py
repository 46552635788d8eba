"""When sending to an endpoint stops in an outage, when one request probes it, and when a person must look.

An outage is a run of failures with nothing answered between: no connection, or 5xx. Times are seconds of a
monotonic clock. How long an outage lasts is judged by its failures alone: hours in which nothing was sent say
nothing.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

#: Failures in a row that open the breaker. One request in ten failing at random makes eight in a row once in 10⁸.
OPEN_AFTER = 8

#: An endpoint that was never reached pauses after this long: the base URL is probably wrong (DESIGN: States).
UNREACHABLE_SECONDS = 30.0

#: Seconds before the first probe, doubled by each that fails, up to the last.
FIRST_PROBE = 1.0
LAST_PROBE = 30.0


class Verdict(StrEnum):
    """What may be sent now."""

    SEND = "send"
    #: Nothing until `next_probe`.
    WAIT = "wait"
    #: One request, alone.
    PROBE = "probe"
    #: Pause the endpoint.
    GIVE_UP = "give_up"


class Breaker(Struct, frozen=True, kw_only=True):
    """How an endpoint has fared lately."""

    #: Whether it ever answered in this run; in an earlier one.
    answered: bool = False
    known: bool = False
    failures: int = 0
    #: When the present run of failures began, and its last one.
    failing_since: float = 0.0
    failed_at: float = 0.0
    #: Whether every failure of the run was a connection that could not be made.
    unreachable: bool = True
    probes: int = 0
    next_probe: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether sending has stopped."""
        return self.failures >= OPEN_AFTER

    @property
    def never_reached(self) -> bool:
        """Whether no connection to it could be made, in this run or an earlier one."""
        return self.failures > 0 and self.unreachable and not (self.answered or self.known)

    @property
    def failing(self) -> float:
        """Seconds from the first to the last failure of the run."""
        return self.failed_at - self.failing_since


def succeeded(breaker: Breaker) -> Breaker:
    """It gave an answer."""
    if breaker.failures == 0 and breaker.answered:
        return breaker
    return Breaker(answered=True)


def alive(breaker: Breaker) -> Breaker:
    """It refused a request, or found fault with one: no outage, yet not an answer."""
    return Breaker(answered=breaker.answered, known=breaker.known) if breaker.failures else breaker


def paused(breaker: Breaker) -> Breaker:
    """A person has been asked to look: when it goes on, nothing has failed yet."""
    return Breaker(known=breaker.answered or breaker.known)


def failed(breaker: Breaker, now: float, *, unreachable: bool) -> Breaker:
    """One more failure in a row; past the threshold each one puts the next probe off."""
    grown = replace(
        breaker,
        failures=breaker.failures + 1,
        failing_since=breaker.failing_since if breaker.failures else now,
        failed_at=now,
        unreachable=breaker.unreachable and unreachable,
    )
    # Those that were in flight when it opened fail together: they put nothing off.
    if not grown.is_open or now < breaker.next_probe:
        return grown
    wait = min(LAST_PROBE, FIRST_PROBE * 2.0 ** min(breaker.probes, 10))
    return replace(grown, probes=breaker.probes + 1, next_probe=now + wait)


def verdict(breaker: Breaker, now: float, *, max_wait: float) -> Verdict:
    """What may be sent at this instant."""
    if breaker.never_reached and breaker.failing >= min(UNREACHABLE_SECONDS, max_wait):
        return Verdict.GIVE_UP
    if not breaker.is_open:
        return Verdict.SEND
    if breaker.failing >= max_wait:
        return Verdict.GIVE_UP
    return Verdict.WAIT if now < breaker.next_probe else Verdict.PROBE
