"""Dead-letters requests that can never fit their lane's limit, before they are sent."""

from batcher.domain.events import AttemptEnded
from batcher.domain.lanes import Charge, TokenLimit
from batcher.domain.outcomes import Usage
from batcher.domain.requests import Claim
from batcher.domain.settlements import AttemptRecord, DeadLetter, Settlement
from batcher.domain.states import AttemptKind, FailureKind
from batcher.policy.tokens.estimate import stated_output
from batcher.policy.tokens.oversized import NEVER_FITS, never_fits_message
from batcher.ports import Budget, Clock, Events
from batcher.worker.run_state import Lane
from batcher.worker.settler import Settler


class OversizedRequests:
    """Finds them at admission, because a lane's limit and charging rule may be learned during the run."""

    def __init__(self, *, budget: Budget, settler: Settler, clock: Clock, events: Events) -> None:
        self._budget = budget
        self._settler = settler
        self._clock = clock
        self._events = events

    def bury(self, lane: Lane, claim: Claim, charge: Charge) -> bool:
        """Dead-letter the lane's next claim if it can never fit. Returns whether it did."""
        limit = self._budget.never_fits(lane.key, charge)
        if limit is None:
            return False
        # The charge may count several answers, which not every provider does; the body's own figure decides.
        output = stated_output(claim.body)
        if output is None or output <= limit.tpm:
            return False
        lane.ready.popleft()
        record = _record(lane, output, limit, self._clock.now())
        decision = DeadLetter(kind=FailureKind.PERMANENT.value, code=NEVER_FITS)
        self._settler.add(Settlement(claim=claim, decision=decision, attempt=record))
        self._events.emit(_told(claim, lane, record))
        return True


def _record(lane: Lane, output: int, limit: TokenLimit, now: int) -> AttemptRecord:
    return AttemptRecord(
        lane_id=lane.stored.id,
        sent_at=None,
        ended_at=now,
        status=None,
        kind=AttemptKind.PERMANENT,
        code=NEVER_FITS,
        message=never_fits_message(output, limit),
        retry_after_us=None,
        provider_request_id=None,
        usage=Usage(),
        reply=None,
    )


def _told(claim: Claim, lane: Lane, record: AttemptRecord) -> AttemptEnded:
    return AttemptEnded(
        job_id=claim.job_id,
        line=claim.line,
        custom_id=claim.custom_id,
        send=claim.send,
        lane=lane.key,
        status=None,
        kind=record.kind.value,
        code=record.code,
        message=record.message,
        provider_request_id=None,
        latency_us=0,
        input_tokens=None,
        output_tokens=None,
        sent=False,
    )
