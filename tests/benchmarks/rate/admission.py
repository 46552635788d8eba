"""What admission costs: CPU of `reserve` where there is room, and of a request whole."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batcher.budget.lane_gate import LaneGate
from batcher.budget.lanes import LaneBudgets
from batcher.clock import SystemClock
from batcher.domain.feedback import Feedback
from batcher.domain.ids import EndpointId
from batcher.domain.lanes import Charge, LaneKey, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule, RequestEnd
from batcher.policy.rate.token_bucket import Level

#: Microseconds of CPU a request may cost.
ASKED_US = 10.0

CALLS = 2_000
ROUNDS = 6
TPM = 6e11
LANE = LaneKey(endpoint_id=EndpointId(1), key_name="KEY", model="m")
CHARGE = Charge(input_tokens=800, output_tokens=200)
USAGE = Usage(input_tokens=800, output_tokens=100)
HINTS = RateHints(rpm=6e8, tpm=TPM, remaining_tokens=TPM - 1_000)


@dataclass(frozen=True)
class Cost:
    """Microseconds of CPU."""

    state: str
    #: Of `reserve` alone.
    admission: float
    #: From `reserve` to what the reply teaches.
    whole: float


def costs() -> list[Cost]:
    """Without headers, with the rule of charging known, and while every rule is possible."""
    states = {"no headers": without, "settled": settled, "learning": learning}
    return [Cost(name, *(1e6 * each for each in asyncio.run(admitting(state)))) for name, state in states.items()]


async def cheapest(take: Callable[[], Awaitable[object]]) -> float:
    """Seconds of CPU for one call, in the quietest of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await take()
        best = min(best, time.process_time() - began)
    return best / CALLS


def settled(gate: LaneGate) -> None:
    """The rule is known, and it alone is followed."""
    observer = gate.tokens.observer
    assert observer is not None
    observer.rule = ChargeRule.SUM
    observer._hypotheses = [observer._best]


def learning(gate: LaneGate) -> None:
    """Every rule is possible, and stays so."""
    observer = gate.tokens.observer
    assert observer is not None
    observer._unchanged = -(10**9)
    assert len(observer._hypotheses) == 6


def without(gate: LaneGate) -> None:
    """No header tells of a bucket."""
    gate.tokens.observer = None


async def admitting(state: Callable[[LaneGate], None]) -> tuple[float, float]:
    """Seconds of CPU: of `reserve` alone, and of a request whole, from `reserve` to what its reply teaches."""
    budgets = LaneBudgets(SystemClock(), most_in_flight=10**9)
    budgets.open_lane(LANE, Limits(rpm=6e8, tpm=TPM), cooling_until=None)
    gate = budgets._lanes[LANE].gate
    gate.level = Level(1e9)
    await asyncio.sleep(0.5)

    async def whole() -> None:
        place = await budgets.reserve(LANE, CHARGE)
        hints = None if state is without else HINTS
        budgets.finish(place, Feedback(end=RequestEnd.ANSWERED, usage=USAGE, hints=hints))

    budgets.adopt_hints(LANE, HINTS)
    state(gate)
    await whole()
    return await cheapest(lambda: budgets.reserve(LANE, CHARGE)), await cheapest(whole)
