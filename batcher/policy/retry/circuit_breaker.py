"""When an outage stops sending to an endpoint, when one request probes it, and when a person must act.

An outage is a series of failures with no answer in between: no connection, or 5xx. Times are seconds of a
monotonic clock. The length of an outage is judged by its failures alone: hours in which nothing was sent say
nothing.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

#: Consecutive failures that open the breaker. If one request in ten fails at random, eight in a row occur once in
#: 10⁸.
OPEN_AFTER = 8

#: An endpoint that was never reached pauses after this long, because the base URL is probably wrong.
UNREACHABLE_SECONDS = 30.0

#: Seconds before the first probe, doubled by each probe that fails, and the maximum.
FIRST_PROBE = 1.0
LAST_PROBE = 30.0


class Permission(StrEnum):
    """What may be sent now."""

    SEND = "send"
    #: Send nothing until `next_probe`.
    WAIT = "wait"
    #: Send one request alone.
    PROBE = "probe"
    #: Pause the endpoint, for a person to act.
    GIVE_UP = "give_up"


class Breaker(Struct, frozen=True, kw_only=True):
    """The recent health of an endpoint."""

    #: Whether it has ever answered in this run, or in an earlier one.
    answered: bool = False
    known: bool = False
    failures: int = 0
    #: Monotonic seconds of the first and the last failure of the present series.
    failing_since: float = 0.0
    failed_at: float = 0.0
    #: Whether every failure of the series was a connection that could not be made.
    unreachable: bool = True
    probes: int = 0
    next_probe: float = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether sending has stopped."""
        return self.failures >= OPEN_AFTER

    @property
    def has_answered(self) -> bool:
        """Return whether it has ever answered, in this run or an earlier one."""
        return self.answered or self.known

    @property
    def never_reached(self) -> bool:
        """Return whether no connection to it could ever be made, in this run or an earlier one."""
        return self.failures > 0 and self.unreachable and not self.has_answered

    @property
    def failing(self) -> float:
        """Return the seconds from the first to the last failure of the series."""
        return self.failed_at - self.failing_since


def succeeded(breaker: Breaker) -> Breaker:
    """Return the state after an answer."""
    if breaker.failures == 0 and breaker.answered:
        return breaker
    return Breaker(answered=True)


def alive(breaker: Breaker) -> Breaker:
    """Return the state after a refusal or an error reply: it shows no outage, but is not an answer either."""
    return Breaker(answered=breaker.answered, known=breaker.known) if breaker.failures else breaker


def paused(breaker: Breaker) -> Breaker:
    """Return the state after a pause: when sending resumes, nothing has failed yet."""
    return Breaker(known=breaker.has_answered)


def failed(breaker: Breaker, now: float, *, unreachable: bool) -> Breaker:
    """Return the state after a failure; past the threshold each failure postpones the next probe."""
    grown = replace(
        breaker,
        failures=breaker.failures + 1,
        failing_since=breaker.failing_since if breaker.failures else now,
        failed_at=now,
        unreachable=breaker.unreachable and unreachable,
    )
    # Requests that were in flight when it opened fail together; they postpone nothing.
    if not grown.is_open or now < breaker.next_probe:
        return grown
    wait = min(LAST_PROBE, FIRST_PROBE * 2.0 ** min(breaker.probes, 10))
    return replace(grown, probes=breaker.probes + 1, next_probe=now + wait)


def opened_by_row(breaker: Breaker, now: float) -> Breaker:
    """Return the state after a row has used up its attempts with nothing answered meanwhile.

    A small job waits out an outage as a large one does, whose rows open the breaker together.
    """
    failures = max(breaker.failures, OPEN_AFTER)
    return replace(breaker, failures=failures, probes=1, next_probe=now + FIRST_PROBE)


def verdict(breaker: Breaker, now: float, *, max_wait: float) -> Permission:
    """Return what may be sent at this instant."""
    if breaker.never_reached and breaker.failing >= min(UNREACHABLE_SECONDS, max_wait):
        return Permission.GIVE_UP
    if not breaker.is_open:
        return Permission.SEND
    if breaker.failing >= max_wait:
        return Permission.GIVE_UP
    return Permission.WAIT if now < breaker.next_probe else Permission.PROBE
