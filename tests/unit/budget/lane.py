"""A lane's budget against the simulated provider's limiter, in virtual time; it is told what a worker tells."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from batcher.budget.lanes import LaneBudgets
from batcher.domain.lanes import Charge, LaneKey, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule, RefusalCause
from batcher.policy.classify.rate_headers import rate_hints
from batcher.ports import Reservation
from batcher.simulate.buckets import Limiter, Rejected
from tests.unit.budget.runs import LANE, finish, now, refuse

#: Our estimate of a prompt for each token that the provider counts.
OVERESTIMATED = 1.15


@dataclass(frozen=True)
class Row:
    """Tokens as the provider counts them."""

    prompt: int = 10
    most: int = 24
    output: int = 24


@dataclass
class Sending:
    """One request that arrived."""

    at: float
    row: Row
    number: int
    charged: float | None


@dataclass
class Strict:
    """A provider that saves up one second of budget."""

    limits: Limits
    rule: ChargeRule = ChargeRule.MAX
    headers: bool = True
    retry_after: bool = True
    latency: float = 0.5
    sigma: float = 0.3
    most_in_flight: int | None = None
    arrived: list[Sending] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._limiter = Limiter(self.limits, burst=1.0, rule=self.rule)
        self._draw = random.Random(3)
        self._in_flight = 0

    async def exchange(self, row: Row, number: int) -> tuple[Rejected | bool, RateHints]:
        """Refused (False: for too many in flight) or answered, and what the headers say."""
        at = now()
        if self.most_in_flight is not None and self._in_flight >= self.most_in_flight:
            self.arrived.append(Sending(at, row, number, None))
            await asyncio.sleep(0.002)
            return False, RateHints()
        admission = self._limiter.admit(at, Charge(input_tokens=row.prompt, output_tokens=row.most))
        headers = rate_hints(self._limiter.headers(at), host="x") if self.headers else RateHints()
        if isinstance(admission, Rejected):
            self.arrived.append(Sending(at, row, number, None))
            await asyncio.sleep(0.002)
            return admission, headers
        self.arrived.append(Sending(at, row, number, admission.tokens))
        self._in_flight += 1
        await asyncio.sleep(self.latency * self._draw.lognormvariate(0, self.sigma))
        self._in_flight -= 1
        self._limiter.produced(now(), row.output)
        return True, headers

    @property
    def let_in(self) -> list[Sending]:
        return [each for each in self.arrived if each.charged is not None]

    @property
    def refused(self) -> float:
        """The share refused."""
        return 1 - len(self.let_in) / len(self.arrived)

    def cost(self, each: Sending) -> float:
        """What it took of the binding limit."""
        if self.limits.tpm is None:
            return 1.0
        output = each.row.output if self.rule is ChargeRule.PRODUCED else 0
        return (each.charged or 0.0) + output

    def utilization(self, settle: float) -> float:
        """From `settle` seconds after the first arrival to the last."""
        limit = self.limits.tpm or self.limits.rpm
        assert limit is not None
        start, end = self.let_in[0].at + settle, self.let_in[-1].at
        took = sum(self.cost(each) for each in self.let_in if start < each.at <= end)
        return took / (limit / 60 * (end - start))


async def run_lane(
    budgets: LaneBudgets,
    provider: Strict,
    rows: Iterable[Row],
    *,
    lane: LaneKey = LANE,
    named: bool = False,
    bounded: bool = True,
    until: float = float("inf"),
) -> None:
    """Send the rows in order, refused ones again after the others that wait. `named`: refusals say what for."""
    waiting = list(enumerate(rows))[::-1]

    async def execute(place: Reservation, number: int, row: Row) -> None:
        ended, hints = await provider.exchange(row, number)
        if ended is True:
            finish(budgets, place, usage=Usage(input_tokens=row.prompt, output_tokens=row.output), hints=hints)
        else:
            cause, stated_wait_s = RefusalCause.IN_FLIGHT, None
            if isinstance(ended, Rejected):
                cause = RefusalCause(ended.dimension) if named else RefusalCause.UNSAID
                stated_wait_s = ended.retry_after_s if provider.retry_after else None
            refuse(budgets, place, wait_s=stated_wait_s, jitter=0.5, cause=cause, hints=hints)
            waiting.append((number, row))

    async with asyncio.TaskGroup() as group:
        while now() < until:
            if not waiting:
                await asyncio.sleep(1.0)
                if not waiting:
                    return
            number, row = waiting[-1]
            guess = Charge(
                input_tokens=round(row.prompt * OVERESTIMATED),
                output_tokens=row.most if bounded else 512,
                bounded=bounded,
            )
            place = await budgets.reserve(lane, guess)
            waiting.pop()
            group.create_task(execute(place, number, row))
