"""Dead-letters requests that can never fit their lane's limit, before they are sent."""

from batcher.domain.lanes import Charge
from batcher.domain.requests import Claim
from batcher.domain.settlements import DeadLetter, Settlement
from batcher.domain.states import FailureKind
from batcher.policy.stated_maximum import stated_output
from batcher.policy.tokens.oversized import NEVER_FITS
from batcher.ports import Budget, Clock, Events
from batcher.worker.attempts.records import ended, of_oversized
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.run_state import Lane


class OversizedRequests:
    """Finds them at admission, because a lane's limit and charging rule may be learned during the run."""

    def __init__(self, *, budget: Budget, broker: CommitBroker, clock: Clock, events: Events) -> None:
        self._budget = budget
        self._broker = broker
        self._clock = clock
        self._events = events

    def dead_letter(self, lane: Lane, claim: Claim, charge: Charge) -> bool:
        """Dead-letter the lane's next claim if it can never fit. Returns whether it did."""
        limit = self._budget.never_fits(lane.key, charge)
        if limit is None:
            return False
        # The charge may count several answers, which not every provider does; the body's own figure decides.
        output = stated_output(claim.body)
        if output is None or output <= limit.tpm:
            return False
        lane.take(claim)
        record = of_oversized(lane, output=output, limit=limit, ended_at=self._clock.now())
        decision = DeadLetter(kind=FailureKind.PERMANENT.value, code=NEVER_FITS)
        self._broker.add(Settlement(claim=claim, decision=decision, attempt=record))
        self._events.emit(ended(claim, lane, record, latency_us=0))
        return True
