"""One request: send → classify → update the breaker → report to the budget → decide → settle."""

import asyncio
from collections.abc import Callable
from typing import assert_never

import msgspec
from msgspec.structs import replace

from batcher.domain.events import BreakerChanged, LaneCooling
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.feedback import Feedback, Finished
from batcher.domain.lanes import RateHints
from batcher.domain.outcomes import Failure, Outcome, Success
from batcher.domain.requests import Claim
from batcher.domain.settlements import DeadLetter, Decision, Requeue, Settlement
from batcher.domain.states import FailureKind, RefusalCause, RequestEnd
from batcher.policy.classify.answers import refuse_truncated
from batcher.policy.classify.classify import ReplyContext, classify, internal_error
from batcher.policy.classify.rate_headers import rate_hints
from batcher.policy.classify.refusal_cause import refusal_cause, seen_again
from batcher.policy.classify.structured_output import asks_for_json, not_validated, unchecked
from batcher.policy.input.deduplication import samples_at_random
from batcher.policy.retry import circuit_breaker
from batcher.policy.retry.busy import MOST_BUSY, as_refusal, is_busy
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.policy.retry.decide import complete, decide, sends_without_attempt
from batcher.policy.retry.refusals import LaneTally, RowRefusals, refused
from batcher.ports import Budget, Clock, Events, OutputValidator
from batcher.worker.attempts.attempt import ANSWERED_SINCE, Attempt, Dispatch
from batcher.worker.attempts.outage_signs import after_failure, is_like_outage, timed_out_alone
from batcher.worker.attempts.records import of_shutdown
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.pausing.verdicts import Verdicts
from batcher.worker.run_state import Endpoint, Lane, State

#: Refusals that name nothing by which they could be explained.
_PLAIN = frozenset({RefusalCause.UNSAID, RefusalCause.REQUESTS, RefusalCause.AGAIN})
#: The code of a single request that is larger than the limit itself (`batcher/policy/classify/rules.py`).
_TOO_LARGE = "request_too_large"


class Executor:
    """Carries out admitted requests."""

    def __init__(
        self,
        *,
        state: State,
        budget: Budget,
        broker: CommitBroker,
        verdicts: Verdicts,
        clock: Clock,
        events: Events,
        validator: OutputValidator,
        jitter: Callable[[], float],
    ) -> None:
        self._validator = validator
        self._state = state
        self._budget = budget
        self._broker = broker
        self._verdicts = verdicts
        self._clock = clock
        self._events = events
        self._jitter = jitter
        # Cached, because `asyncio.get_running_loop` is a system call each time (Python 3.11).
        self._time = asyncio.get_running_loop().time

    async def execute(self, dispatch: Dispatch) -> None:
        """Send the claim and handle its result. If cancelled, give the claim back without using an attempt."""
        lane, sent, cancelled = dispatch.lane, self._time(), None
        try:
            result = await self._send(dispatch)
            outcome, hints = self._read(dispatch, result)
            if self._is_validated(outcome, dispatch.claim):
                outcome, cancelled = await self._validate(outcome, dispatch.claim, result)
        finally:
            lane.in_flight -= 1
            lane.touched = True
            del self._state.sending[dispatch.claim.request_id]
            if dispatch.probe:
                lane.endpoint.probing = False
                lane.endpoint.changed.set()
        self._conclude(
            Attempt(
                lane=lane,
                claim=dispatch.claim,
                reservation=dispatch.reservation,
                number=dispatch.number,
                alone=dispatch.alone,
                result=result,
                outcome=outcome,
                answered=ANSWERED_SINCE[lane.answered_at > sent, lane.endpoint.answered_at > sent],
                hints=hints,
            )
        )
        if cancelled is not None:
            raise cancelled

    async def _send(self, dispatch: Dispatch) -> Reply | TransportFault:
        claim, job = dispatch.claim, self._state.jobs[dispatch.claim.job_id]
        sent_at = self._clock.now()
        name = f"{job.job.public_id}-{claim.request_id}-{claim.send}"
        self._state.flights.record()
        try:
            return await dispatch.sender.send(path=claim.path, body=claim.body, client_request_id=name)
        except asyncio.CancelledError:
            self._budget.finish(dispatch.reservation, Feedback(end=RequestEnd.FAILED))
            record = of_shutdown(dispatch.lane, sent_at=sent_at, ended_at=self._clock.now())
            released = Requeue(available_at=None, uses_attempt=False)
            self._broker.add(Settlement(claim=claim, decision=released, attempt=record))
            raise

    def _read(self, dispatch: Dispatch, result: Reply | TransportFault) -> tuple[Outcome, RateHints | None]:
        """Find out what a result means by itself, and what its headers say about limits.

        All code that reads text of others is called here or in `_validate`, so that its faults cost one row.
        """
        hints = None
        try:
            if isinstance(result, Reply):
                hints = rate_hints(result.headers, host=dispatch.lane.endpoint.host)
            return self._outcome(dispatch, result), hints
        except Exception as error:  # noqa: BLE001 - whatever a reply makes fail costs its row, never the run
            return internal_error(error), hints

    def _is_validated(self, outcome: Outcome, claim: Claim) -> bool:
        if not isinstance(outcome, Success) or not asks_for_json(claim.body):
            return False
        return self._state.jobs[claim.job_id].job.settings.validate_output

    async def _validate(
        self, outcome: Outcome, claim: Claim, reply: Reply | TransportFault
    ) -> tuple[Outcome, asyncio.CancelledError | None]:
        """Hold an answer against the format that its request asks for.

        If the run is being stopped meanwhile, the answer is delivered unchecked, because it is here and paid for.
        The error is returned to be raised once it is settled.
        """
        assert isinstance(outcome, Success)  # noqa: S101 - for the type checker: only answers are validated
        assert isinstance(reply, Reply)  # noqa: S101
        try:
            validated = await self._validator.validate(outcome, request=claim.body, reply=reply.body)
        except asyncio.CancelledError as error:
            return unchecked(outcome), error
        except Exception as error:  # noqa: BLE001 - as in `_read`
            return internal_error(error), None
        return _once_if_deterministic(validated, claim), None

    def _outcome(self, dispatch: Dispatch, result: Reply | TransportFault) -> Outcome:
        """Return the outcome as the reply alone shows it, but for the format that the request asks for."""
        claim, lane = dispatch.claim, dispatch.lane
        job = self._state.jobs[claim.job_id]
        context = ReplyContext(
            host=lane.endpoint.host,
            key_place=job.key_place,
            missing_key=job.missing_key,
            endpoint_answered=lane.endpoint.breaker.has_answered,
            route_answered=self._state.routes[claim.route_id].failures.has_answered,
        )
        outcome = classify(result, path=claim.path, context=context, request=claim.body)
        settings = job.job.settings
        if settings.fail_truncated:
            outcome = refuse_truncated(outcome)
        if isinstance(outcome, Success):
            return outcome if settings.validate_output else not_validated(outcome, request=claim.body)
        if is_busy(result, outcome, answered_s_ago=self._time() - lane.answered_at):
            outcome = as_refusal(outcome, refusal_cause(outcome.code, outcome.message))
        if outcome.cause is not None and sends_without_attempt(claim) > 1:
            outcome = replace(outcome, cause=seen_again(outcome.cause))
        return outcome

    def _conclude(self, attempt: Attempt) -> None:
        """Update what is known of the endpoint and the lane, decide about the row, and settle it."""
        endpoint, before = attempt.lane.endpoint, attempt.lane.endpoint.breaker
        endpoint.breaker = self._breaker_after(attempt)
        finished = self._budget.finish(attempt.reservation, self._feedback(attempt))
        self._note(attempt, finished)
        decision = self._decide(attempt, finished)
        if before.is_open != endpoint.breaker.is_open:
            self._report_breaker(endpoint, attempt.outcome)
        if isinstance(attempt.outcome, Success):
            self._verdicts.settle(attempt, decision)
            self._verdicts.answered(attempt)
        elif _needs_verdict(attempt, decision):
            self._verdicts.failed(attempt, decision)
        else:
            self._verdicts.settle(attempt, decision)
            self._verdicts.said_nothing(attempt)
        self._verdicts.came_back(attempt)

    def _breaker_after(self, attempt: Attempt) -> Breaker:
        lane, outcome = attempt.lane, attempt.outcome
        if isinstance(outcome, Success):
            lane.busy = 0
            return circuit_breaker.succeeded(lane.endpoint.breaker)
        is_busy_again = outcome.cause is RefusalCause.BUSY
        lane.busy += is_busy_again
        return after_failure(attempt, self._time(), is_failing=is_busy_again and lane.busy > MOST_BUSY)

    def _feedback(self, attempt: Attempt) -> Feedback:
        outcome, hints = attempt.outcome, attempt.hints
        if isinstance(outcome, Success):
            return Feedback(end=RequestEnd.ANSWERED, usage=outcome.usage, hints=hints)
        if outcome.kind is FailureKind.RATE_LIMITED:
            return Feedback(
                end=RequestEnd.REFUSED,
                usage=outcome.usage,
                hints=hints,
                cause=outcome.cause,
                wait_us=outcome.retry_after_us,
                jitter=self._jitter(),
                restart_ramp=outcome.restart_ramp,
            )
        end = RequestEnd.FAILED
        if isinstance(attempt.result, TransportFault) and attempt.result.no_descriptor:
            end = RequestEnd.NO_DESCRIPTOR
        elif outcome.code == _TOO_LARGE:
            # It was never admitted, so it owes no tokens; charging it could block the lane for minutes.
            end = RequestEnd.TOO_LARGE
        elif timed_out_alone(attempt):
            end = RequestEnd.TIMED_OUT
        return Feedback(end=end, usage=outcome.usage, hints=hints)

    def _note(self, attempt: Attempt, finished: Finished) -> None:
        """Note what came back in the lane: `status`, the live line and `--max-wait` go by it."""
        lane, outcome = attempt.lane, attempt.outcome
        if self._budget.counts_days(lane.key):
            # In the same commit, so that a kill in between forgets no use.
            lane.stored = replace(lane.stored, memory=self._budget.memory(lane.key))
            self._broker.remember(lane)
        if isinstance(outcome, Success):
            lane.answered_at = lane.endpoint.answered_at = self._time()
            lane.answers += 1
            lane.failing_since = None
            return
        lane.last_failure = outcome
        match outcome.kind:
            case FailureKind.RATE_LIMITED:
                lane.begin_failing(self._time())
                if outcome.retry_after_us is not None:
                    wait_s = outcome.retry_after_us / 1e6
                    lane.named_wait = (self._time() + wait_s, wait_s)
                self._note_cool_down(lane, outcome, finished)
            case FailureKind.BLOCKED | FailureKind.PERMANENT:
                # There is no answer to deliver, but the lane works.
                lane.failing_since = None
            case FailureKind.TRANSIENT:
                lane.begin_failing(self._time())
            case _:
                assert_never(outcome.kind)

    def _note_cool_down(self, lane: Lane, refusal: Failure, finished: Finished) -> None:
        until = finished.cooling_until
        assert until is not None  # noqa: S101 - for the type checker: a refusal always has an end
        lane.stored = replace(lane.stored, cooling_until=until)
        self._broker.remember(lane)
        self._events.emit(
            LaneCooling(
                lane=lane.key,
                until=until,
                code=refusal.code,
                message=refusal.message,
                named=refusal.retry_after_us is not None,
            )
        )

    def _decide(self, attempt: Attempt, finished: Finished) -> Decision:
        """Return the settlement. A row that used up its attempts in what is like an outage opens the breaker."""
        outcome, endpoint = attempt.outcome, attempt.lane.endpoint
        if isinstance(outcome, Success):
            assert isinstance(attempt.result, Reply)  # noqa: S101 - for the type checker: only a reply succeeds
            return complete(outcome, attempt.result)
        too_often = outcome.kind is FailureKind.RATE_LIMITED and self._is_refused_too_often(attempt, outcome)
        decision = self._decide_failure(attempt, finished, too_often=too_often)
        if isinstance(decision, DeadLetter) and is_like_outage(attempt):
            endpoint.breaker = circuit_breaker.opened_by_row(endpoint.breaker, self._time())
            return self._decide_failure(attempt, finished)
        return decision

    def _decide_failure(
        self, attempt: Attempt, finished: Finished, *, too_often: bool = False
    ) -> Requeue | DeadLetter:
        now_us, lane = self._clock.now(), attempt.lane
        return decide(
            attempt.failure,
            attempt.claim,
            now_us=now_us,
            jitter=self._jitter(),
            max_attempts=self._state.jobs[attempt.claim.job_id].job.settings.max_attempts,
            too_often=too_often,
            queued=finished.queued,
            lane_waits=lane.stored.cooling_until is not None and lane.stored.cooling_until > now_us,
            in_outage=lane.endpoint.breaker.is_open or not attempt.was_sent,
        )

    def _is_refused_too_often(self, attempt: Attempt, refusal: Failure) -> bool:
        """Count the refusal of a row; return whether it is refused because of itself."""
        lane, claim = attempt.lane, attempt.claim
        lane.refusals += 1
        route = self._state.routes[claim.route_id]
        found = refused(
            self._state.refusals.get(claim.request_id, RowRefusals()),
            LaneTally(lane.refusals, lane.answers, bool(lane.in_flight or lane.ready) or not route.dry),
            self._time(),
            is_plain=refusal.cause in _PLAIN,
            answered_since_sent=attempt.answered.lane,
        )
        self._state.refusals[claim.request_id] = found
        return found.are_too_many

    def _report_breaker(self, endpoint: Endpoint, outcome: Outcome) -> None:
        """Report a change of the circuit breaker: sending stopped, or it resumes with one request of each lane."""
        if not endpoint.breaker.is_open:
            for each in self._state.lanes.values():
                if each.endpoint is endpoint:
                    self._budget.restart(each.key)
        endpoint.changed.set()
        message = outcome.message if isinstance(outcome, Failure) else "the endpoint answers again"
        self._events.emit(
            BreakerChanged(
                endpoint_id=endpoint.id,
                endpoint=endpoint.base_url,
                open=endpoint.breaker.is_open,
                since=self._clock.now(),
                message=message,
            )
        )


def _needs_verdict(attempt: Attempt, decision: Decision) -> bool:
    """Return whether other rows are to show whose fault it is: of what would be a dead letter, or a pause."""
    kind = attempt.failure.kind
    if kind is FailureKind.BLOCKED:
        return True
    is_refusal = kind is FailureKind.RATE_LIMITED
    return isinstance(decision, DeadLetter) and isinstance(attempt.result, Reply) and not is_refusal


def _once_if_deterministic(outcome: Outcome, claim: Claim) -> Outcome:
    """Spare the second attempt at a format where the model would answer the same again."""
    if isinstance(outcome, Success) or samples_at_random(claim.path, msgspec.json.decode(claim.body)):
        return outcome
    return replace(outcome, most_attempts=1)
