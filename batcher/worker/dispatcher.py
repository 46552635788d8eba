"""Admits the requests of one lane in order, one task per lane: outage, room for the reply, budget, then send."""

import asyncio

from batcher.domain.lanes import Charge
from batcher.domain.requests import Claim
from batcher.policy.retry.circuit_breaker import Permission, paused, verdict
from batcher.policy.tokens.estimate import counts_tokens, names_maximum
from batcher.ports import Budget, Reservation
from batcher.worker.aio import wait_for
from batcher.worker.attempts.attempt import Dispatch
from batcher.worker.attempts.task_pool import TaskPool
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.oversized import OversizedRequests
from batcher.worker.pausing.pauses import Pauses, unreachable
from batcher.worker.run_state import JobRun, Lane, State

#: During an outage the breaker is checked at least this often, in seconds.
_LOOK_SECONDS = 1.0
_SHORTEST_LOOK = 0.01


class Dispatcher:
    """Admits requests; the task pool carries them out."""

    def __init__(
        self,
        *,
        state: State,
        budget: Budget,
        broker: CommitBroker,
        task_pool: TaskPool,
        pauses: Pauses,
        oversized: OversizedRequests,
    ) -> None:
        self._state = state
        self._budget = budget
        self._broker = broker
        self._task_pool = task_pool
        self._pauses = pauses
        self._oversized = oversized
        self._time = asyncio.get_running_loop().time

    async def run(self, lane: Lane) -> None:
        """Admit the lane's claims one by one until cancelled; claims that were not sent stay in `lane.ready`."""
        while True:
            while (claim := lane.next) is None:
                lane.arrived.clear()
                await lane.arrived.wait()
            await self._admit(lane, claim)

    async def _admit(self, lane: Lane, claim: Claim) -> None:
        """Send the claim, or return if it must be checked again, because a wait may have changed the situation."""
        if lane.endpoint.breaker.failures:
            await self._wait_out_outage(lane, claim)
        if not self._broker.has_room:
            await self._broker.room()
        if not _is_next(lane, claim):
            return
        charge = Charge(
            input_tokens=claim.est_input,
            output_tokens=claim.est_output,
            bounded=names_maximum(claim.body, claim.est_output),
            counted=counts_tokens(claim.path),
        )
        if self._oversized.dead_letter(lane, claim, charge):
            return
        reservation = await self._budget.reserve(lane.key, charge)
        # The last wait is over; nothing else runs between here and the start of the request.
        if _is_next(lane, claim) and self._broker.has_room and self._may_send(lane):
            self._start(lane, claim, reservation)
        else:
            self._budget.cancel(reservation)

    def _may_send(self, lane: Lane) -> bool:
        endpoint = lane.endpoint
        if not endpoint.breaker.is_open:
            return True
        return not endpoint.probing and self._time() >= endpoint.breaker.next_probe

    def _start(self, lane: Lane, claim: Claim, reservation: Reservation) -> None:
        lane.take(claim)
        route = self._state.routes[claim.route_id]
        route.sends += 1
        alone = route.id in lane.held
        if alone:
            lane.held[route.id] = False
        sender = self._state.jobs[claim.job_id].sender
        assert sender is not None  # noqa: S101 - no lane has claims of a job that cannot send
        lane.record_sent(unsettled=self._broker.unsettled)
        self._state.begin_sending(claim)
        probe = lane.endpoint.breaker.is_open
        if probe:
            lane.endpoint.probing = True
        if lane.room:
            self._state.wake.set()
        self._task_pool.send(Dispatch(lane, claim, reservation, probe, sender, route.sends, alone))

    async def _wait_out_outage(self, lane: Lane, claim: Claim) -> None:
        endpoint, job = lane.endpoint, self._state.jobs[claim.job_id]
        while endpoint.breaker.failures and _is_next(lane, claim):
            now = self._time()
            match verdict(endpoint.breaker, now, max_wait=job.job.settings.max_wait):
                case Permission.SEND:
                    return
                case Permission.GIVE_UP:
                    self._give_up(lane, job)
                    return
                case Permission.PROBE if not endpoint.probing:
                    return
                case Permission.PROBE | Permission.WAIT:
                    pass
            endpoint.changed.clear()
            patience = (
                _LOOK_SECONDS if endpoint.probing else max(_SHORTEST_LOOK, endpoint.breaker.next_probe - now)
            )
            await wait_for(endpoint.changed, min(patience, _LOOK_SECONDS))

    def _give_up(self, lane: Lane, job: JobRun) -> None:
        self._pauses.begin(unreachable(lane), lane, job)
        lane.endpoint.breaker = paused(lane.endpoint.breaker)


def _is_next(lane: Lane, claim: Claim) -> bool:
    """Return whether the claim is still the lane's next; a pause may have released it during the wait."""
    return lane.next is claim
