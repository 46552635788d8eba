"""Makes the permanent record of an attempt, and the event that reports it."""

from msgspec.structs import replace

from batcher.domain.events import AttemptEnded
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import TokenLimit
from batcher.domain.outcomes import Failure, Success, Usage
from batcher.domain.requests import Claim
from batcher.domain.settlements import AttemptRecord
from batcher.domain.states import AttemptKind
from batcher.policy.retry.decide import provider_request_id
from batcher.policy.tokens.oversized import NEVER_FITS, never_fits_message
from batcher.worker.attempts.attempt import Attempt
from batcher.worker.run_state import Lane

#: How many bytes of a failed attempt's reply are kept.
_KEPT_REPLY = 64 * 1024
_KEPT_MESSAGE = 2_000


def of_attempt(attempt: Attempt) -> AttemptRecord:
    """Return the record of an attempt that got a reply or a transport fault."""
    result, outcome = attempt.result, attempt.outcome
    reply = result if isinstance(result, Reply) else None
    failure = outcome if isinstance(outcome, Failure) else None
    return AttemptRecord(
        lane_id=attempt.lane.stored.id,
        sent_at=result.sent_at if attempt.was_sent else None,
        # Not start plus latency: some event loops count in milliseconds, so the sum may lie after the settlement.
        ended_at=result.ended_at,
        status=reply.status if reply else None,
        kind=AttemptKind.SUCCESS if isinstance(outcome, Success) else AttemptKind(outcome.kind.value),
        code=failure.code if failure else None,
        message=failure.message[:_KEPT_MESSAGE] if failure else None,
        retry_after_us=failure.retry_after_us if failure else None,
        provider_request_id=provider_request_id(reply.headers) if reply else None,
        usage=outcome.usage,
        reply=reply.body[:_KEPT_REPLY] if reply and failure else None,
    )


def shortened(result: Reply | TransportFault) -> Reply | TransportFault:
    """Return a failed attempt's result without the part of its reply that no record keeps."""
    if isinstance(result, Reply) and len(result.body) > _KEPT_REPLY:
        return replace(result, body=result.body[:_KEPT_REPLY])
    return result


def of_shutdown(lane: Lane, *, sent_at: int, ended_at: int) -> AttemptRecord:
    """Return the record of a request that was in flight at shutdown. The provider may answer and bill it."""
    return _without_reply(
        lane,
        sent_at=sent_at,
        ended_at=ended_at,
        kind=AttemptKind.TRANSIENT,
        code="shutdown",
        message="batcher was stopped while this request was in flight",
    )


def of_oversized(lane: Lane, *, output: int, limit: TokenLimit, ended_at: int) -> AttemptRecord:
    """Return the record of a request that can never fit its lane's limit and was not sent."""
    return _without_reply(
        lane,
        sent_at=None,
        ended_at=ended_at,
        kind=AttemptKind.PERMANENT,
        code=NEVER_FITS,
        message=never_fits_message(output, limit),
    )


def _without_reply(
    lane: Lane, *, sent_at: int | None, ended_at: int, kind: AttemptKind, code: str, message: str
) -> AttemptRecord:
    return AttemptRecord(
        lane_id=lane.stored.id,
        sent_at=sent_at,
        ended_at=ended_at,
        status=None,
        kind=kind,
        code=code,
        message=message,
        retry_after_us=None,
        provider_request_id=None,
        usage=Usage(),
        reply=None,
    )


def ended(claim: Claim, lane: Lane, record: AttemptRecord, *, latency_us: int) -> AttemptEnded:
    """Return the event that reports the end of an attempt."""
    return AttemptEnded(
        job_id=claim.job_id,
        line=claim.line,
        custom_id=claim.custom_id,
        send=claim.send,
        lane=lane.key,
        status=record.status,
        kind=record.kind.value,
        code=record.code,
        message=record.message,
        provider_request_id=record.provider_request_id,
        latency_us=latency_us,
        input_tokens=record.usage.input_tokens,
        output_tokens=record.usage.output_tokens,
        sent=record.sent_at is not None,
    )
