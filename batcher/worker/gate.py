"""One gate task a lane admits requests in our order: breaker, budget, room for the reply, then send."""

import asyncio

from batcher.domain.lanes import Charge
from batcher.domain.requests import Claim
from batcher.policy.breaker import Breaker, Verdict, verdict
from batcher.ports import Budget, Reservation
from batcher.worker.execute import Executor
from batcher.worker.pauses import Pauses, unreachable
from batcher.worker.settler import Settler
from batcher.worker.state import JobRun, Lane, State


class Gate:
    """Admits; `tasks` runs what was admitted."""

    def __init__(
        self,
        *,
        state: State,
        budget: Budget,
        settler: Settler,
        executor: Executor,
        pauses: Pauses,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._state = state
        self._budget = budget
        self._settler = settler
        self._executor = executor
        self._pauses = pauses
        self._tasks = tasks
        #: Requests that are out; a second signal cancels them.
        self.out: set[asyncio.Task[None]] = set()

    async def run(self, lane: Lane) -> None:
        """Admit the lane's claims one by one until cancelled; what was not sent stays in `lane.ready`."""
        while True:
            while not lane.ready:
                lane.arrived.clear()
                await lane.arrived.wait()
            await self._admit(lane, lane.ready[0])

    async def _admit(self, lane: Lane, claim: Claim) -> None:
        probe = await self._pass_breaker(lane, claim)
        reservation: Reservation | None = None
        try:
            await self._settler.room()
            if _is_next(lane, claim):
                charge = Charge(input_tokens=claim.est_input, output_tokens=claim.est_output)
                reservation = await self._budget.reserve(lane.key, charge)
        finally:
            admitted = reservation is not None and _is_next(lane, claim)
            if probe and not admitted:
                lane.endpoint.probing = False
                lane.endpoint.changed.set()
        if reservation is not None and not admitted:
            self._budget.cancel(reservation)
        elif reservation is not None:
            self._start(lane, reservation, probe=probe)

    def _start(self, lane: Lane, reservation: Reservation, *, probe: bool) -> None:
        claim = lane.ready.popleft()
        self._state.wake.set()
        task = self._tasks.create_task(self._executor.execute(lane, claim, reservation, probe=probe))
        self.out.add(task)
        task.add_done_callback(self.out.discard)

    async def _pass_breaker(self, lane: Lane, claim: Claim) -> bool:
        """Wait while the endpoint is in an outage; True: this request is its probe."""
        endpoint, loop = lane.endpoint, asyncio.get_running_loop()
        job = self._state.jobs[claim.job_id]
        while endpoint.breaker.failures:
            now = loop.time()
            match verdict(endpoint.breaker, now, max_wait=job.job.settings.max_wait):
                case Verdict.SEND:
                    return False
                case Verdict.GIVE_UP:
                    self._give_up(lane, job, now - endpoint.breaker.failing_since)
                    return False
                case Verdict.PROBE if not endpoint.probing:
                    endpoint.probing = True
                    return True
                case Verdict.PROBE | Verdict.WAIT:
                    pass
            endpoint.changed.clear()
            patience = 1.0 if endpoint.probing else max(0.01, endpoint.breaker.next_probe - now)
            await _wait(endpoint.changed, min(patience, 1.0))
        return False

    def _give_up(self, lane: Lane, job: JobRun, failing: float) -> None:
        endpoint = lane.endpoint
        state = endpoint.breaker
        what = "could not be reached" if state.unreachable and not state.answered else "answered nothing"
        self._pauses.begin(unreachable(endpoint, f"{what} for {failing:.0f} s"), lane, job)
        endpoint.breaker = Breaker()


def _is_next(lane: Lane, claim: Claim) -> bool:
    """Whether the claim is still the lane's: a pause may have given it back while we waited."""
    return bool(lane.ready) and lane.ready[0] is claim


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
