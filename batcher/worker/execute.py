"""One request: send → classify → decide. The result goes to the settler, the budget and the listeners."""

import asyncio
from collections.abc import Callable
from typing import assert_never

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.events import BreakerChanged, LaneCooling
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import RateHints
from batcher.domain.outcomes import Failure, Outcome, Success
from batcher.domain.requests import Claim
from batcher.domain.settlements import DeadLetter, Decision, Requeue, Settlement
from batcher.domain.states import FailureKind, FaultKind, RefusalCause
from batcher.policy.classify.answers import refuse_truncated
from batcher.policy.classify.classify import ReplyContext, classify, internal_error
from batcher.policy.classify.error_body import SUCCESS
from batcher.policy.classify.rate_headers import rate_hints
from batcher.policy.classify.refusal_cause import refusal_cause
from batcher.policy.classify.structured_output import not_validated, unchecked
from batcher.policy.input.deduplication import samples_at_random
from batcher.policy.retry import circuit_breaker
from batcher.policy.retry.backoff import BASE_US
from batcher.policy.retry.busy import MOST_BUSY, as_refusal, is_busy
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.policy.retry.decide import complete, decide, sends_without_attempt
from batcher.policy.retry.refusals import LaneTally, RowRefusals, refused
from batcher.ports import Budget, Clock, Events, OutputValidator
from batcher.worker.attempt_records import of_shutdown, was_sent
from batcher.worker.pausing.verdicts import Verdicts
from batcher.worker.run_state import Endpoint, Lane, State
from batcher.worker.settler import Settler
from batcher.worker.task_pool import Dispatch

#: Faults that say nothing about the endpoint.
_OWN_FAULTS = frozenset({FaultKind.LOCAL, FaultKind.STALE_CONNECTION, FaultKind.REPLY_TOO_LARGE})
#: Faults of a connection over which something was sent.
_BROKEN = frozenset({FaultKind.RESET, FaultKind.PROTOCOL})
#: Refusals that name nothing by which they could be explained.
_PLAIN = frozenset({RefusalCause.UNSAID, RefusalCause.REQUESTS, RefusalCause.AGAIN})
_SERVER_ERROR = 500
#: What gateways answer without a server behind them, and servers that are starting.
_GATEWAY_ERRORS = frozenset({502, 503, 504, 521, 522, 523, 524})
#: The code of a single request that is larger than the limit itself (`batcher/policy/classify/rules.py`).
_TOO_LARGE = "request_too_large"


class AnsweredSince(Struct, frozen=True, kw_only=True):
    """Whether other requests were answered since one was sent: of its lane, and of any lane of its endpoint."""

    lane: bool
    endpoint: bool


class Judged(Struct, frozen=True, kw_only=True):
    """What a result means, and what was known when it arrived."""

    outcome: Outcome
    #: What has answered another request since this one was sent.
    answered: AnsweredSince
    hints: RateHints | None = None
    #: Set if the outcome is a refusal by a rate limit.
    refusal_cause: RefusalCause | None = None
    #: The run is being stopped: raised once the result is settled.
    cancelled: asyncio.CancelledError | None = None


class Executor:
    """Carries out admitted requests."""

    def __init__(
        self,
        *,
        state: State,
        budget: Budget,
        settler: Settler,
        verdicts: Verdicts,
        clock: Clock,
        events: Events,
        validator: OutputValidator,
        jitter: Callable[[], float],
    ) -> None:
        self._validator = validator
        self._state = state
        self._budget = budget
        self._settler = settler
        self._verdicts = verdicts
        self._clock = clock
        self._events = events
        self._jitter = jitter
        # Cached, because `asyncio.get_running_loop` is a system call each time (Python 3.11).
        self._time = asyncio.get_running_loop().time

    async def execute(self, dispatch: Dispatch) -> None:
        """Send the claim and handle its result. If cancelled, give the claim back without using an attempt."""
        lane, sent = dispatch.lane, self._time()
        try:
            result = await self._send(dispatch)
            judged = await self._judge(dispatch, result, sent=sent)
        finally:
            lane.in_flight -= 1
            del self._state.sending[dispatch.claim.request_id]
            if dispatch.probe:
                lane.endpoint.probing = False
                lane.endpoint.changed.set()
        self._conclude(dispatch, result, judged)
        if judged.cancelled is not None:
            raise judged.cancelled

    async def _send(self, dispatch: Dispatch) -> Reply | TransportFault:
        claim, job = dispatch.claim, self._state.jobs[dispatch.claim.job_id]
        sent_at = self._clock.now()
        name = f"{job.job.public_id}-{claim.request_id}-{claim.send}"
        self._state.flights.record()
        try:
            return await dispatch.sender.send(path=claim.path, body=claim.body, client_request_id=name)
        except asyncio.CancelledError:
            self._budget.reconcile(dispatch.reservation, None)
            record = of_shutdown(dispatch.lane, sent_at=sent_at, ended_at=self._clock.now())
            released = Requeue(available_at=None, uses_attempt=False)
            self._settler.add(Settlement(claim=claim, decision=released, attempt=record))
            raise

    async def _judge(self, dispatch: Dispatch, result: Reply | TransportFault, *, sent: float) -> Judged:
        """Find out what the result means. `sent`: monotonic seconds at which the request was sent.

        All code that reads text of others is called here, so that its faults cost one row.
        """
        claim, endpoint = dispatch.claim, dispatch.lane.endpoint
        answered = AnsweredSince(lane=dispatch.lane.answered_at > sent, endpoint=endpoint.answered_at > sent)
        context = ReplyContext(
            host=endpoint.host,
            endpoint_answered=endpoint.breaker.has_answered,
            route_answered=self._state.routes[claim.route_id].failures.has_answered,
        )
        try:
            outcome = classify(result, path=claim.path, context=context, request=claim.body)
            hints = rate_hints(result.headers, host=endpoint.host) if isinstance(result, Reply) else None
            settings = self._state.jobs[claim.job_id].job.settings
            if settings.fail_truncated:
                outcome = refuse_truncated(outcome)
            busy = is_busy(result, outcome, answered_s_ago=self._time() - dispatch.lane.answered_at)
            if busy:
                outcome = as_refusal(outcome)
            if isinstance(outcome, Success) and not settings.validate_output:
                outcome = not_validated(outcome, request=claim.body)
            elif isinstance(outcome, Success) and isinstance(result, Reply):
                outcome = await self._validator.validate(outcome, request=claim.body, reply=result.body)
                outcome = _once_if_deterministic(outcome, claim)
            cause = _refusal_cause(outcome, claim)
            if busy and cause is not RefusalCause.IN_FLIGHT:
                cause = RefusalCause.BUSY
        except asyncio.CancelledError as error:
            # Only validating waits. The answer is here and paid for, so it is delivered unchecked.
            assert isinstance(outcome, Success)  # noqa: S101 - for the type checker
            return Judged(outcome=unchecked(outcome), answered=answered, hints=hints, cancelled=error)
        except Exception as error:  # noqa: BLE001 - whatever a reply makes fail costs its row, never the run
            return Judged(outcome=internal_error(error), answered=answered)
        return Judged(outcome=outcome, answered=answered, hints=hints, refusal_cause=cause)

    def _conclude(self, dispatch: Dispatch, result: Reply | TransportFault, judged: Judged) -> None:
        lane, outcome = dispatch.lane, judged.outcome
        endpoint, before = lane.endpoint, lane.endpoint.breaker
        lane.busy = lane.busy + (judged.refusal_cause is RefusalCause.BUSY) if isinstance(outcome, Failure) else 0
        is_failing = lane.busy > MOST_BUSY and judged.refusal_cause is RefusalCause.BUSY
        endpoint.breaker = _breaker_after(before, result, judged, self._time(), is_failing=is_failing)
        # The budget gets the reply and its meaning together, so that it can recognize an old refusal.
        if isinstance(outcome, Failure) and outcome.code == _TOO_LARGE:
            # It was never admitted, so it owes no tokens; charging it could block the lane for minutes.
            self._budget.cancel(dispatch.reservation)
        else:
            self._budget.reconcile(dispatch.reservation, outcome.usage)
        if self._budget.counts_days(lane.key):
            # In the same commit, so that a kill in between forgets no use.
            lane.stored = replace(lane.stored, memory=self._budget.memory(lane.key))
            self._settler.remember(lane)
        decision = self._decide(dispatch, result, judged)
        if judged.hints is not None:
            self._budget.adopt_hints(lane.key, judged.hints)
        if before.is_open != endpoint.breaker.is_open:
            self._report_breaker(endpoint, outcome)
        if isinstance(outcome, Success):
            self._verdicts.settle(dispatch, result, outcome, decision)
            self._verdicts.answered(dispatch)
        elif _needs_verdict(outcome, decision, result):
            self._verdicts.failed(dispatch, result, outcome, decision)
        else:
            self._verdicts.settle(dispatch, result, outcome, decision)
            self._verdicts.said_nothing(dispatch)
        self._verdicts.came_back(dispatch)

    def _decide(self, dispatch: Dispatch, result: Reply | TransportFault, judged: Judged) -> Decision:
        lane, claim, outcome = dispatch.lane, dispatch.claim, judged.outcome
        job = self._state.jobs[claim.job_id]
        if isinstance(outcome, Success):
            assert isinstance(result, Reply)  # noqa: S101 - for the type checker: only a reply succeeds
            self._budget.answered(lane.key)
            lane.answered_at = lane.endpoint.answered_at = self._time()
            lane.answers += 1
            lane.failing_since = None
            return complete(outcome, result)
        lane.last_failure = outcome
        if isinstance(result, TransportFault) and result.no_descriptor:
            self._budget.ran_out()
        self._react(lane, outcome, judged)
        now_us = self._clock.now()
        decision = decide(
            outcome,
            claim,
            now_us=now_us,
            jitter=self._jitter(),
            max_attempts=job.job.settings.max_attempts,
            too_often=outcome.kind is FailureKind.RATE_LIMITED and self._count_refusal(lane, claim, judged),
            queued=_timed_out_alone(result, judged) and self._budget.timed_out(lane.key),
            lane_waits=lane.stored.cooling_until is not None and lane.stored.cooling_until > now_us,
        )
        if outcome.kind is not FailureKind.TRANSIENT:
            return decision
        endpoint = lane.endpoint
        if isinstance(decision, DeadLetter) and _is_like_outage(endpoint.breaker, result, outcome, claim):
            endpoint.breaker = circuit_breaker.opened_by_row(endpoint.breaker, self._time())
        if not was_sent(result) or endpoint.breaker.is_open:
            return _without_attempt(decision, now_us)
        return decision

    def _react(self, lane: Lane, outcome: Failure, judged: Judged) -> None:
        match outcome.kind:
            case FailureKind.RATE_LIMITED:
                lane.begin_failing(self._time())
                if outcome.retry_after_us is not None:
                    wait_s = outcome.retry_after_us / 1e6
                    lane.named_wait = (self._time() + wait_s, wait_s)
                self._cool_down(lane, outcome, judged.refusal_cause)
            case FailureKind.BLOCKED | FailureKind.PERMANENT:
                # There is no answer to deliver, but the lane works.
                lane.failing_since = None
            case FailureKind.TRANSIENT:
                lane.begin_failing(self._time())
            case _:
                assert_never(outcome.kind)

    def _count_refusal(self, lane: Lane, claim: Claim, judged: Judged) -> bool:
        """Count the refusal of a row; return whether it is refused because of itself."""
        lane.refusals += 1
        route = self._state.routes[claim.route_id]
        found = refused(
            self._state.refusals.get(claim.request_id, RowRefusals()),
            LaneTally(lane.refusals, lane.answers, bool(lane.in_flight or lane.ready) or not route.dry),
            self._time(),
            is_plain=judged.refusal_cause in _PLAIN,
            answered_since_sent=judged.answered.lane,
        )
        self._state.refusals[claim.request_id] = found
        return found.are_too_many

    def _cool_down(self, lane: Lane, refusal: Failure, cause: RefusalCause | None) -> None:
        until = self._budget.cool_down(
            lane.key,
            wait_us=refusal.retry_after_us,
            jitter=self._jitter(),
            restart_ramp=refusal.restart_ramp,
            why=cause,
        )
        lane.stored = replace(lane.stored, cooling_until=until)
        self._settler.remember(lane)
        self._events.emit(
            LaneCooling(
                lane=lane.key,
                until=until,
                code=refusal.code,
                message=refusal.message,
                named=refusal.retry_after_us is not None,
            )
        )

    def _report_breaker(self, endpoint: Endpoint, outcome: Outcome) -> None:
        """Report a change of the circuit breaker: sending stopped, or it resumes with one request of each lane."""
        if not endpoint.breaker.is_open:
            for each in self._state.lanes.values():
                if each.endpoint is endpoint:
                    self._budget.cool_down(each.key, wait_us=0, jitter=0.0, restart_ramp=True)
        endpoint.changed.set()
        message = outcome.message if isinstance(outcome, Failure) else "the endpoint answers again"
        self._events.emit(
            BreakerChanged(
                endpoint=endpoint.base_url, open=endpoint.breaker.is_open, since=self._clock.now(), message=message
            )
        )


def _needs_verdict(outcome: Failure, decision: Decision, result: Reply | TransportFault) -> bool:
    """Return whether other rows are to show whose fault it is: of what would be a dead letter, or a pause."""
    if outcome.kind is FailureKind.BLOCKED:
        return True
    is_refusal = outcome.kind is FailureKind.RATE_LIMITED
    return isinstance(decision, DeadLetter) and isinstance(result, Reply) and not is_refusal


def _once_if_deterministic(outcome: Outcome, claim: Claim) -> Outcome:
    """Spare the second attempt at a format where the model would answer the same again."""
    if isinstance(outcome, Success) or samples_at_random(claim.path, msgspec.json.decode(claim.body)):
        return outcome
    return replace(outcome, most_attempts=1)


def _refusal_cause(outcome: Outcome, claim: Claim) -> RefusalCause | None:
    if isinstance(outcome, Success) or outcome.kind is not FailureKind.RATE_LIMITED:
        return None
    return refusal_cause(outcome, again=sends_without_attempt(claim) > 1)


def _timed_out_alone(result: Reply | TransportFault, judged: Judged) -> bool:
    """Return whether a request timed out while its endpoint answered others, of this or of another lane."""
    return isinstance(result, TransportFault) and result.kind is FaultKind.TIMEOUT and judged.answered.endpoint


def _breaker_after(
    before: Breaker, result: Reply | TransportFault, judged: Judged, now: float, *, is_failing: bool
) -> Breaker:
    """Return the breaker's state after one attempt. `is_failing`: it was refused as all before it."""
    outcome = judged.outcome
    if isinstance(outcome, Success):
        return circuit_breaker.succeeded(before)
    if isinstance(result, TransportFault):
        own = result.kind in _OWN_FAULTS or _timed_out_alone(result, judged)
        return before if own else circuit_breaker.failed(before, now, unreachable=not result.sent)
    if is_failing or (
        outcome.kind is FailureKind.TRANSIENT and (result.status >= _SERVER_ERROR or outcome.outage)
    ):
        return circuit_breaker.failed(before, now, unreachable=False)
    return circuit_breaker.alive(before)


def _is_like_outage(breaker: Breaker, result: Reply | TransportFault, outcome: Failure, claim: Claim) -> bool:
    """Return whether a row used up its attempts on a gateway or a dead connection, and no other was answered.

    Once others were answered in this run, it may be the row; and so may a 500 with words of its own.
    """
    if breaker.is_open or breaker.answered or breaker.failures <= claim.attempts_used:
        return False
    if isinstance(result, TransportFault):
        return result.kind in _BROKEN
    is_gateway = outcome.outage and result.status not in SUCCESS
    return is_gateway or result.status in _GATEWAY_ERRORS


def _without_attempt(decision: Requeue | DeadLetter, now_us: int) -> Requeue | DeadLetter:
    """Return the decision for an outage: the row waits as long as it would have, but uses no attempt.

    The exception is a request that timed out twice: the provider may have billed it each time.
    """
    if isinstance(decision, Requeue):
        return replace(decision, uses_attempt=False)
    if decision.code == FaultKind.TIMEOUT:
        return decision
    return Requeue(available_at=now_us + BASE_US, uses_attempt=False)
