"""Recognizes a refusal that looks like a fault: 503 from a lane that answers others.

nginx's limit_req and limit_conn, HAProxy's queue, Envoy's circuit breaker and SGLang's queue refuse with 503. The
rate learns from it, and it uses no attempt. Once nothing is answered any more, it is an outage again.
"""

from msgspec.structs import replace

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.outcomes import Failure
from batcher.domain.states import FailureKind, RefusalCause

_UNAVAILABLE = 503
#: Seconds since the last answer for which a lane counts as answering.
RECENT_S = 10.0
#: So many such refusals without an answer in between are failures of the endpoint, too.
MOST_BUSY = 8


def is_busy(result: Reply | TransportFault, outcome: Failure, *, answered_s_ago: float) -> bool:
    """Return whether a fault is a refusal, because the lane answered a moment ago."""
    return (
        isinstance(result, Reply)
        and result.status == _UNAVAILABLE
        and outcome.kind is FailureKind.TRANSIENT
        and answered_s_ago <= RECENT_S
    )


def as_refusal(fault: Failure, words: RefusalCause) -> Failure:
    """Return the fault as a refusal of its lane. `words`: the cause that its text names."""
    cause = words if words is RefusalCause.IN_FLIGHT else RefusalCause.BUSY
    return replace(fault, kind=FailureKind.RATE_LIMITED, most_attempts=None, cause=cause)
