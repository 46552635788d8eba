"""Decides whose fault failures are, with the rows that come back beside them, and settles them then.

The rules are in `batcher/policy/retry/failure_run.py`. Here the results wait, routes are held, and pauses begin.
"""

import asyncio
from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.ids import RequestId, RouteId
from batcher.domain.messages import Cause
from batcher.domain.outcomes import Failure, PauseCause
from batcher.domain.requests import Claim
from batcher.domain.settlements import Decision, Requeue, Settlement
from batcher.domain.states import FailureKind, PauseReason, PauseScope
from batcher.policy.classify.error_codes import FORMAT_MISSED
from batcher.policy.classify.structured_output import CODE as INVALID_OUTPUT
from batcher.policy.output.same_failure import how_to_fix
from batcher.policy.retry.decide import decide
from batcher.policy.retry.failure_run import FailureCause, Verdict
from batcher.ports import Clock, Events
from batcher.worker.attempts.attempt import Attempt
from batcher.worker.attempts.records import ended, of_attempt, shortened
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.pausing.pauses import Pauses, covers
from batcher.worker.run_state import RouteRun, State

#: From the widest scope to the narrowest.
_NARROWER = (PauseScope.ENDPOINT, PauseScope.KEY, PauseScope.LANE, PauseScope.ROUTE)
#: How often a row is tried whose key or address is refused, while others are answered with the same.
_FEW_TIMES = 3
#: Seconds without anything else in hand after which undecided failures wait for one another.
_STALLED_SECONDS = 3.0
#: Codes of answers that miss the format which the request asks for: ours, and those of providers.
_OF_FORMAT = FORMAT_MISSED | {INVALID_OUTPUT}
_GIVEN_BACK = Requeue(available_at=None, uses_attempt=False)


class Undecided(Struct, frozen=True):
    """A failure that waits for its verdict."""

    #: Without its request's body, and with that part of its reply which a record keeps.
    attempt: Attempt
    #: What is done if the row is at fault.
    decision: Decision
    #: Monotonic seconds at which it came back.
    at: float


class Verdicts:
    """Settles what is decided, and keeps what is not."""

    def __init__(
        self,
        *,
        state: State,
        broker: CommitBroker,
        pauses: Pauses,
        events: Events,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._state = state
        self._broker = broker
        self._pauses = pauses
        self._events = events
        self._undecided: dict[RouteId, dict[int, Undecided]] = {}
        #: Routes that are about to pause, and the requests that may still be answered beside them.
        self._pausing: dict[RouteId, set[RequestId]] = {}
        self._stalled_since = float("inf")
        self._time = asyncio.get_running_loop().time

    def settle(self, attempt: Attempt, decision: Decision) -> None:
        """Settle an attempt that is decided."""
        record = of_attempt(attempt)
        self._broker.add(Settlement(claim=attempt.claim, decision=decision, attempt=record))
        self._events.emit(ended(attempt.claim, attempt.lane, record, latency_us=attempt.result.latency_us))

    def answered(self, attempt: Attempt) -> None:
        """Note an answer: rows of its route that failed although they were sent earlier are at fault."""
        route = self._state.routes[attempt.claim.route_id]
        if attempt.number <= route.sends_before:
            return
        route.answered_at = self._time()
        at_fault = route.failures.answered(attempt.number)
        if at_fault or (route.lane.held and route.id in route.lane.held):
            self._dead_letter(route, at_fault)
            self._follow_hold(route)

    def failed(self, attempt: Attempt, decision: Decision) -> None:
        """Take a failure that would be a dead letter or a pause, and settle it once its fault is known."""
        route, outcome = self._state.routes[attempt.claim.route_id], attempt.failure
        # Nothing but its record is needed any more, however long it waits.
        claim = self._state.forget_body(attempt.claim)
        attempt = replace(attempt, claim=claim, result=shortened(attempt.result))
        kept = Undecided(attempt, decision, self._time())
        if attempt.number <= route.sends_before:
            self._give_back(kept)
            return
        if self._is_stopped(route):
            self._settle_as_it_stands(route, kept)
            return
        fault = route.failures.failed(
            attempt.number,
            FailureCause.of(attempt.status, outcome.code, outcome.param),
            blocks=outcome.kind is FailureKind.BLOCKED,
            # With an attempt used, others were answered beside it before: it is the row's.
            of_key=_is_about_key(outcome) and not claim.attempts_used,
            probe=attempt.alone,
        )
        if fault is Verdict.ROW:
            self.settle(attempt, decision)
            return
        self._undecided.setdefault(route.id, {})[attempt.number] = kept
        self._broker.freed()
        self._dead_letter(route, route.failures.overflowing())
        if self._state.alone == claim.request_id:
            # It has come back, so it endangers no other row, and others may be asked.
            self._state.alone = None
        self._follow_hold(route)
        if fault is Verdict.ROUTE:
            self._begin_pause(route)
        self._state.wake.set()

    def said_nothing(self, attempt: Attempt) -> None:
        """Note a result that says nothing about whose fault the failures beside it are."""
        self._state.routes[attempt.claim.route_id].failures.said_nothing(attempt.number)

    def came_back(self, attempt: Attempt) -> None:
        """Note that a request is over: the last one that could have spoken for a route lets the route pause."""
        lane, claim = attempt.lane, attempt.claim
        if attempt.alone and claim.route_id in lane.held:
            lane.held[claim.route_id] = claim.route_id not in self._pausing
            lane.arrived.set()
        if not self._pausing:
            return
        for route_id, awaited in list(self._pausing.items()):
            awaited.discard(claim.request_id)
            if not awaited:
                self._pause(self._state.routes[route_id])

    def review(self) -> None:
        """Decide what no other row can show any more: its route has none left, or is stopped."""
        is_stalled = self._is_stalled()
        for route_id in list(self._undecided):
            route = self._state.routes[route_id]
            is_parked = is_stalled and self._time() - route.parked_at < _STALLED_SECONDS
            if self._is_stopped(route):
                self._stop(route)
            elif route_id in self._pausing:
                continue
            elif (route.dry or is_parked) and route.held == len(self._undecided[route_id]):
                self._decide_without_others(route)

    def _is_stalled(self) -> bool:
        """Return whether nothing but undecided failures has been in hand for some seconds.

        Rows may be parked until a row with the same content is answered (`batcher/store/queue/cache_hits.py`). If
        that one is undecided, and waits for them in turn, the queue always has something for soon.
        """
        kept = sum(map(len, self._undecided.values()))
        if not kept or kept != sum(job.held for job in self._state.jobs.values()):
            self._stalled_since = float("inf")
        else:
            self._stalled_since = min(self._stalled_since, self._time())
        return self._time() - self._stalled_since >= _STALLED_SECONDS

    def forget(self, route: RouteRun) -> None:
        """Settle what is undecided of a route that ends, or begins again under other settings."""
        if route.id in self._undecided:
            self._stop(route)
        self._pausing.pop(route.id, None)
        if route.lane.held.pop(route.id, None) is not None:
            route.lane.arrived.set()

    def finish(self) -> None:
        """Settle all that is undecided, because the run ends."""
        for route_id in list(self._undecided):
            self._stop(self._state.routes[route_id])

    def _is_stopped(self, route: RouteRun) -> bool:
        return route.is_paused or not self._state.jobs[route.route.job_id].is_wanted

    def _decide_without_others(self, route: RouteRun) -> None:
        faults = route.failures.exhausted()
        at_fault = [number for number, fault in faults.items() if fault is Verdict.ROW]
        route.failures.remove(at_fault)
        self._dead_letter(route, at_fault)
        again = [number for number, fault in faults.items() if fault is Verdict.ASK_AGAIN]
        if Verdict.ROUTE in faults.values():
            self._begin_pause(route)
        elif again:
            route.failures.ask_again(again)
            for number in again:
                self._give_back(self._undecided[route.id].pop(number))
        self._follow_hold(route)

    def _dead_letter(self, route: RouteRun, numbers: Iterable[int]) -> None:
        """Settle rows that are at fault: dead letters, except that a refused key is tried a few times."""
        kept = self._undecided.get(route.id, {})
        for number in numbers:
            one = kept.pop(number)
            attempt, decision = one.attempt, one.decision
            if attempt.failure.pause is not None:
                outcome = self._of_one_row(attempt)
                attempt, decision = replace(attempt, outcome=outcome), self._decide(attempt.claim, outcome)
            self.settle(attempt, decision)
        if not kept:
            self._undecided.pop(route.id, None)

    def _of_one_row(self, attempt: Attempt) -> Failure:
        """Return a failure that would pause as one of its row alone.

        A key that others use works again soon, and so does an address: a gateway may have had nothing behind it.
        Attempts for other causes do not count against it.
        """
        failure, request = attempt.failure, attempt.claim.request_id
        is_about_address = failure.pause is not None and failure.pause.reason is PauseReason.ENDPOINT
        if not _is_about_key(failure) and not is_about_address:
            return replace(failure, kind=FailureKind.PERMANENT, pause=None)
        times = self._state.blocked_alone[request] = self._state.blocked_alone.get(request, 0) + 1
        most = None if times < _FEW_TIMES else 1
        return replace(failure, kind=FailureKind.TRANSIENT, pause=None, most_attempts=most)

    def _decide(self, claim: Claim, outcome: Failure) -> Decision:
        return decide(
            outcome,
            claim,
            now_us=self._clock.now(),
            jitter=self._jitter(),
            max_attempts=self._state.jobs[claim.job_id].job.settings.max_attempts,
        )

    def _give_back(self, one: Undecided) -> None:
        outcome = replace(one.attempt.failure, kind=FailureKind.BLOCKED)
        self.settle(replace(one.attempt, outcome=outcome), _GIVEN_BACK)

    def _follow_hold(self, route: RouteRun) -> None:
        """Hold the route in its lane as long as its failures say, or let it go."""
        held = route.lane.held
        if route.failures.held_for is None:
            self._pausing.pop(route.id, None)
            if held.pop(route.id, None) is not None:
                route.lane.arrived.set()
        else:
            held.setdefault(route.id, True)
        if not self._undecided.get(route.id, True):
            del self._undecided[route.id]

    def _begin_pause(self, route: RouteRun) -> None:
        """Pause the route, as soon as nothing is in flight that may be answered within the scope of the pause."""
        if route.id in self._pausing:
            return
        cause, sending = self._cause(route), self._state.sending
        self._pausing[route.id] = {
            request_id
            for request_id, claim in sending.items()
            if claim.route_id == route.id or covers(cause, route.lane, self._state.routes[claim.route_id].lane)
        }
        route.lane.held[route.id] = False
        if not self._pausing[route.id]:
            self._pause(route)

    def _cause(self, route: RouteRun) -> PauseCause:
        kept = self._undecided[route.id]
        of_held = [kept[number] for number in route.failures.of_held()]
        last = of_held[-1].attempt.failure
        failure = str(route.failures.held_for)
        if last.pause is not None:
            return replace(last.pause, failure=failure)
        return PauseCause(
            scope=PauseScope.ROUTE,
            reason=PauseReason.FORMAT if last.code in _OF_FORMAT else PauseReason.SAME_FAILURE,
            message=f"{len(of_held)} rows in a row failed alike on {route.route.path}: {last.message}",
            fix=how_to_fix(last),
            failure=failure,
        )

    def _pause(self, route: RouteRun) -> None:
        cause = self._cause(route)
        kept = self._undecided.pop(route.id)
        alike = set(route.failures.of_held())
        since = min(kept[number].at for number in alike)
        for number, one in kept.items():
            if number in alike:
                self._give_back(one)
            else:
                self._settle_as_it_stands(route, one)
        route.failures.remove(list(kept))
        self._follow_hold(route)
        job = self._state.jobs[route.route.job_id]
        self._pauses.begin(self._narrowed(cause, route, since), route.lane, job, route)

    def _narrowed(self, cause: PauseCause, route: RouteRun, since: float) -> PauseCause:
        """Return the pause without what was answered beside the failures."""
        answered = [
            each for each in self._state.routes.values() if each is not route and each.answered_at >= since
        ]
        scope = next(
            (
                scope
                for scope in _NARROWER[_NARROWER.index(cause.scope) : -1]
                if not any(covers(replace(cause, scope=scope), route.lane, each.lane) for each in answered)
            ),
            PauseScope.ROUTE,
        )
        # The address is right: something else of the endpoint answered.
        is_address = cause.scope is PauseScope.ENDPOINT and scope is not PauseScope.ENDPOINT
        return replace(cause, scope=scope, fix=Cause.OTHER_PATHS_ANSWER() if is_address else cause.fix)

    def _stop(self, route: RouteRun) -> None:
        kept = self._undecided.pop(route.id)
        for one in kept.values():
            self._settle_as_it_stands(route, one)
        route.failures.remove(list(kept))
        self._follow_hold(route)

    def _settle_as_it_stands(self, route: RouteRun, one: Undecided) -> None:
        """Settle a failure without a verdict: what may not be the row's fault is given back."""
        failures = route.failures
        # Where nothing was ever answered, no failure is known to be its row's.
        is_open = not failures.has_answered or one.attempt.number in failures.of_held()
        if is_open or one.attempt.failure.kind is FailureKind.BLOCKED:
            self._give_back(one)
        else:
            self.settle(one.attempt, one.decision)


def _is_about_key(outcome: Failure) -> bool:
    return outcome.pause is not None and outcome.pause.scope is PauseScope.KEY
