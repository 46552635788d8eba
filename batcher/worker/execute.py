"""One request: send → classify → decide. What comes of it goes to the settler, the budget and the listeners."""

import asyncio
from collections.abc import Callable
from typing import assert_never

from msgspec.structs import replace

from batcher.domain.events import AttemptEnded, BreakerChanged, LaneCooling
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.outcomes import Failure, Outcome, Success, Usage
from batcher.domain.requests import Claim
from batcher.domain.settlements import AttemptRecord, Decision, Requeue, Settlement
from batcher.domain.states import AttemptKind, FailureKind, FaultKind
from batcher.policy import breaker
from batcher.policy.classify import Standing, classify
from batcher.policy.rate_headers import rate_hints
from batcher.policy.settle import complete, decide, provider_request_id
from batcher.ports import Budget, Clock, Events, Reservation
from batcher.worker.pauses import Pauses
from batcher.worker.settler import Settler
from batcher.worker.state import JobRun, Lane, State

#: Of a failed attempt's reply this much is kept.
_KEPT_REPLY = 64 * 1024
_KEPT_MESSAGE = 2_000

#: Faults that say nothing about the endpoint.
_OWN_FAULTS = frozenset({FaultKind.LOCAL, FaultKind.STALE_CONNECTION, FaultKind.REPLY_TOO_LARGE})
_SERVER_ERROR = 500


class Executor:
    """Carries admitted requests out."""

    def __init__(
        self,
        *,
        state: State,
        budget: Budget,
        settler: Settler,
        pauses: Pauses,
        clock: Clock,
        events: Events,
        jitter: Callable[[], float],
    ) -> None:
        self._state = state
        self._budget = budget
        self._settler = settler
        self._pauses = pauses
        self._clock = clock
        self._events = events
        self._jitter = jitter

    async def execute(self, lane: Lane, claim: Claim, reservation: Reservation, *, probe: bool) -> None:
        """Send the claim and see to everything that follows. Cancelled, it gives the claim back unspent."""
        job = self._state.jobs[claim.job_id]
        assert job.sender is not None  # noqa: S101 - nothing is claimed for a job that cannot send
        sent_at, sent = self._clock.now(), asyncio.get_running_loop().time()
        lane.in_flight += 1
        self._state.in_flight += 1
        lane.waiting_since = lane.waiting_since or sent
        name = f"{job.job.public_id}-{claim.request_id}-{claim.send}"
        try:
            result = await job.sender.send(path=claim.path, body=claim.body, client_request_id=name)
        except asyncio.CancelledError:
            self._budget.reconcile(reservation, None)
            self._settler.add(_shut_down(claim, lane, sent_at, self._clock.now()))
            raise
        finally:
            lane.in_flight -= 1
            self._state.in_flight -= 1
            if probe:
                lane.endpoint.probing = False
                lane.endpoint.changed.set()
        self._conclude(lane, job, claim, reservation, result, sent)

    def _conclude(
        self,
        lane: Lane,
        job: JobRun,
        claim: Claim,
        reservation: Reservation,
        result: Reply | TransportFault,
        sent: float,
    ) -> None:
        standing = Standing(
            endpoint_answered=lane.endpoint.breaker.answered, lane_answered=lane.answered_at > sent
        )
        outcome = classify(result, path=claim.path, standing=standing)
        self._budget.reconcile(reservation, outcome.usage)
        in_outage = self._watch_endpoint(lane, result, outcome)
        decision = self._decide(lane, job, claim, result, outcome, standing, in_outage=in_outage)
        if isinstance(result, Reply):
            self._budget.heed(lane.key, rate_hints(result.headers, host=lane.endpoint.host))
        record = _record(lane, result, outcome)
        self._settler.add(Settlement(claim=claim, decision=decision, attempt=record))
        self._events.emit(_told(claim, lane, result, record))

    def _decide(
        self,
        lane: Lane,
        job: JobRun,
        claim: Claim,
        result: Reply | TransportFault,
        outcome: Outcome,
        standing: Standing,
        *,
        in_outage: bool,
    ) -> Decision:
        if isinstance(outcome, Success):
            assert isinstance(result, Reply)  # noqa: S101 - for the type checker: only a reply succeeds
            self._budget.answered(lane.key)
            lane.answered_at = asyncio.get_running_loop().time()
            lane.waiting_since = None
            return complete(outcome, result)
        self._react(lane, job, outcome)
        decision = decide(
            outcome,
            claim,
            now_us=self._clock.now(),
            jitter=self._jitter(),
            max_attempts=job.job.settings.max_attempts,
            lane_answered=standing.lane_answered,
        )
        never_sent = isinstance(result, TransportFault) and not result.sent
        if outcome.kind is FailureKind.TRANSIENT and (in_outage or never_sent):
            return _unspent(decision, self._clock.now())
        return decision

    def _react(self, lane: Lane, job: JobRun, outcome: Failure) -> None:
        match outcome.kind:
            case FailureKind.RATE_LIMITED:
                until = self._budget.cool_down(
                    lane.key,
                    wait_us=outcome.retry_after_us,
                    jitter=self._jitter(),
                    restart_ramp=outcome.restart_ramp,
                )
                self._events.emit(
                    LaneCooling(lane=lane.key, until=until, code=outcome.code, message=outcome.message)
                )
            case FailureKind.BLOCKED:
                assert outcome.pause is not None  # noqa: S101 - a blocked outcome always says why
                self._pauses.begin(outcome.pause, lane, job)
            case FailureKind.TRANSIENT | FailureKind.PERMANENT:
                pass
            case _:
                assert_never(outcome.kind)

    def _watch_endpoint(self, lane: Lane, result: Reply | TransportFault, outcome: Outcome) -> bool:
        """Tell the breaker; returns whether the endpoint is in an outage."""
        endpoint, before = lane.endpoint, lane.endpoint.breaker
        now = asyncio.get_running_loop().time()
        if isinstance(result, TransportFault):
            if result.kind in _OWN_FAULTS:
                return before.is_open
            endpoint.breaker = breaker.failed(before, now, unreachable=not result.sent)
        elif result.status >= _SERVER_ERROR and isinstance(outcome, Failure):
            endpoint.breaker = breaker.failed(before, now, unreachable=False)
        elif isinstance(outcome, Success):
            endpoint.breaker = breaker.succeeded(before)
        elif before.failures:
            # Refusals and errors of single requests show that it is alive, not that it ever answered.
            endpoint.breaker = replace(breaker.succeeded(before), answered=before.answered)
        if before.is_open != endpoint.breaker.is_open:
            self._tell_breaker(lane, outcome)
        return endpoint.breaker.is_open

    def _tell_breaker(self, lane: Lane, outcome: Outcome) -> None:
        endpoint = lane.endpoint
        if not endpoint.breaker.is_open:
            # Back from an outage: traffic returns gradually, one request first.
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


def _unspent(decision: Decision, now_us: int) -> Decision:
    """In an outage no row is used up: it waits as long as it would have, and spends nothing."""
    if isinstance(decision, Requeue):
        return replace(decision, spent=False)
    return Requeue(available_at=now_us + 1_000_000, spent=False)


def _kind(outcome: Outcome) -> AttemptKind:
    return AttemptKind.SUCCESS if isinstance(outcome, Success) else AttemptKind(outcome.kind.value)


def _record(lane: Lane, result: Reply | TransportFault, outcome: Outcome) -> AttemptRecord:
    reply = result if isinstance(result, Reply) else None
    failure = outcome if isinstance(outcome, Failure) else None
    return AttemptRecord(
        lane_id=lane.stored.id,
        sent_at=result.sent_at,
        ended_at=result.sent_at + result.latency_us,
        status=reply.status if reply else None,
        kind=_kind(outcome),
        code=failure.code if failure else None,
        message=failure.message[:_KEPT_MESSAGE] if failure else None,
        retry_after_us=failure.retry_after_us if failure else None,
        provider_request_id=provider_request_id(reply.headers) if reply else None,
        usage=outcome.usage,
        reply=reply.body[:_KEPT_REPLY] if reply and failure else None,
    )


def _shut_down(claim: Claim, lane: Lane, sent_at: int, ended_at: int) -> Settlement:
    """Stopped while it was out: the provider may answer and bill it; the row goes back and spends nothing."""
    attempt = AttemptRecord(
        lane_id=lane.stored.id,
        sent_at=sent_at,
        ended_at=ended_at,
        status=None,
        kind=AttemptKind.TRANSIENT,
        code="shutdown",
        message="batcher was stopped while this request was in flight",
        retry_after_us=None,
        provider_request_id=None,
        usage=Usage(),
        reply=None,
    )
    return Settlement(claim=claim, decision=Requeue(available_at=None, spent=False), attempt=attempt)


def _told(claim: Claim, lane: Lane, result: Reply | TransportFault, record: AttemptRecord) -> AttemptEnded:
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
        latency_us=result.latency_us,
        input_tokens=record.usage.input_tokens,
        output_tokens=record.usage.output_tokens,
    )
