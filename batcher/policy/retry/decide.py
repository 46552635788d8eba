"""Decides what is done about an outcome; the decision settles the claim.

See docs/architecture.md#states-of-a-request.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from msgspec.structs import replace

from batcher.domain.exchange import Reply
from batcher.domain.outcomes import Failure, Success
from batcher.domain.requests import Claim
from batcher.domain.settlements import Complete, DeadLetter, Requeue
from batcher.domain.states import FailureKind, FaultKind
from batcher.policy.retry.backoff import BASE_US, backoff_us

#: A row that timed out in a queue at the server is sent again so often without using an attempt.
MOST_QUEUED: Final = 3
#: How often the wait of a row that is refused alone is doubled.
_MOST_DOUBLED: Final = 3
#: The headers in which providers return their own request id, the best first.
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid", "cf-ray")


def complete(success: Success, reply: Reply) -> Complete:
    """Return the settlement of an answer."""
    return Complete(
        reply=reply,
        usage=success.usage,
        provider_request_id=provider_request_id(reply.headers),
        marks=success.marks,
    )


def provider_request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's own request id, for its support desk."""
    for name in _REQUEST_IDS:
        if found := headers.get(name):
            return found
    return None


def decide(
    outcome: Failure,
    claim: Claim,
    *,
    now_us: int,
    jitter: float,
    max_attempts: int,
    too_often: bool = False,
    queued: bool = False,
    lane_waits: bool = True,
    in_outage: bool = False,
) -> Requeue | DeadLetter:
    """Return the settlement of a failure.

    `jitter` is U[0, 1); `too_often`: see `refusals`; `queued`: it timed out in a queue at the server;
    `lane_waits`: the refusal holds the whole lane; `in_outage`: nothing was sent, or nothing is answered.
    """
    if queued and sends_without_attempt(claim) <= MOST_QUEUED:
        return Requeue(available_at=now_us + backoff_us(0, jitter=jitter), uses_attempt=False)
    match outcome.kind:
        case FailureKind.PERMANENT:
            return DeadLetter(kind=outcome.kind, code=outcome.code)
        case FailureKind.BLOCKED:
            return Requeue(available_at=None, uses_attempt=False)
        case FailureKind.RATE_LIMITED:
            if too_often:
                return DeadLetter(kind=outcome.kind, code="refused_too_often")
            # A cool-down holds the row back, and it keeps its place in the order. Without one it waits alone.
            alone_us = backoff_us(min(_MOST_DOUBLED, sends_without_attempt(claim) - 1), jitter=jitter)
            return Requeue(available_at=None if lane_waits else now_us + alone_us, uses_attempt=False)
        case FailureKind.TRANSIENT:
            decision = _after_fault(outcome, claim, now_us=now_us, jitter=jitter, max_attempts=max_attempts)
            return _without_attempt(decision, now_us) if in_outage else decision
        case _:
            assert_never(outcome.kind)


def sends_without_attempt(claim: Claim) -> int:
    """Return the sends that used no attempt, this one included: refusals, pauses, faults of our own."""
    return claim.send - claim.sends_before - claim.attempts_used - claim.lost


def _after_fault(
    outcome: Failure, claim: Claim, *, now_us: int, jitter: float, max_attempts: int
) -> Requeue | DeadLetter:
    if outcome.code == FaultKind.LOCAL:
        return Requeue(available_at=now_us + backoff_us(0, jitter=jitter), uses_attempt=False)
    if outcome.code == FaultKind.STALE_CONNECTION and sends_without_attempt(claim) <= 1:
        return Requeue(available_at=None, uses_attempt=False)
    timeout = outcome.code == FaultKind.TIMEOUT
    allowed = min(max_attempts, outcome.most_attempts or max_attempts)
    if claim.attempts_used + 1 >= allowed or (timeout and claim.timeouts >= 1):
        return DeadLetter(kind=outcome.kind, code=outcome.code)
    return Requeue(available_at=now_us + _wait_us(outcome, claim, jitter), uses_attempt=True, timeout=timeout)


def _without_attempt(decision: Requeue | DeadLetter, now_us: int) -> Requeue | DeadLetter:
    """Return the decision in an outage: the row waits as long as it would have, but uses no attempt.

    The exception is a request that timed out twice: the provider may have billed it each time.
    """
    if isinstance(decision, Requeue):
        return replace(decision, uses_attempt=False)
    if decision.code == FaultKind.TIMEOUT:
        return decision
    return Requeue(available_at=now_us + BASE_US, uses_attempt=False)


def _wait_us(outcome: Failure, claim: Claim, jitter: float) -> int:
    """Return the backoff, never shorter than the server stated. Rows given the same time are spread by jitter."""
    stated_us = 0 if outcome.retry_after_us is None else outcome.retry_after_us + int(BASE_US * jitter / 2)
    return max(stated_us, backoff_us(claim.attempts_used, jitter=jitter))
