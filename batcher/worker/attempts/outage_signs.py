"""What a failed attempt shows about its endpoint: an outage, a queue, or nothing."""

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import FailureKind, FaultKind
from batcher.policy.classify.error_body import SUCCESS
from batcher.policy.retry import circuit_breaker
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.worker.attempts.attempt import Attempt

#: Faults that say nothing about the endpoint.
_OWN_FAULTS = frozenset({FaultKind.LOCAL, FaultKind.STALE_CONNECTION, FaultKind.REPLY_TOO_LARGE})
#: Faults of a connection over which something was sent.
_BROKEN = frozenset({FaultKind.RESET, FaultKind.PROTOCOL})
_SERVER_ERROR = 500
#: What gateways answer without a server behind them, and servers that are starting.
_GATEWAY_ERRORS = frozenset({502, 503, 504, 521, 522, 523, 524})


def timed_out_alone(attempt: Attempt) -> bool:
    """Return whether a request timed out while its endpoint answered others, of this or of another lane."""
    result = attempt.result
    return isinstance(result, TransportFault) and result.kind is FaultKind.TIMEOUT and attempt.answered.endpoint


def after_failure(attempt: Attempt, now: float, *, is_failing: bool) -> Breaker:
    """Return the endpoint's breaker after a failed attempt. `is_failing`: it was refused as all before it."""
    before, result, outcome = attempt.lane.endpoint.breaker, attempt.result, attempt.failure
    if isinstance(result, TransportFault):
        # A host that no one knows is a wrong address, not an outage.
        own = result.kind in _OWN_FAULTS or timed_out_alone(attempt) or outcome.pause is not None
        return before if own else circuit_breaker.failed(before, now, unreachable=not result.sent)
    if is_failing or (
        outcome.kind is FailureKind.TRANSIENT and (result.status >= _SERVER_ERROR or outcome.outage)
    ):
        return circuit_breaker.failed(before, now, unreachable=False)
    return circuit_breaker.alive(before)


def is_like_outage(attempt: Attempt) -> bool:
    """Return whether a row used up its attempts on a gateway or a dead connection, and no other was answered.

    Once others were answered in this run, it may be the row; and so may a 500 with words of its own.
    """
    breaker, result, outcome = attempt.lane.endpoint.breaker, attempt.result, attempt.failure
    if outcome.kind is not FailureKind.TRANSIENT or breaker.is_open or breaker.answered:
        return False
    if breaker.failures <= attempt.claim.attempts_used:
        return False
    if isinstance(result, Reply):
        is_gateway = outcome.outage and result.status not in SUCCESS
        return is_gateway or result.status in _GATEWAY_ERRORS
    return result.kind in _BROKEN
