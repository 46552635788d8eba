"""Servers that refuse nothing: some work on a few requests at once and queue the rest, one scales."""

import asyncio
import random
from dataclasses import dataclass, field

from batcher.budget.lanes import LaneBudgets
from batcher.ports import Reservation
from tests.unit.budget.runs import LANE, charge, finish, now, time_out


@dataclass
class Server:
    """Works on `places` requests at once (None: on all), in the order in which they came.

    An answer takes `seconds` on average, lognormal with `sigma`. A request that the client gave up is still
    worked on, as most servers do.
    """

    places: int | None
    seconds: float = 1.0
    sigma: float = 0.0
    seed: int = 1
    worked: float = 0.0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)
        self._free = None if self.places is None else asyncio.Semaphore(self.places)

    def _takes(self) -> float:
        return self.seconds * self._draw.lognormvariate(-self.sigma * self.sigma / 2, self.sigma)

    async def answer(self) -> None:
        takes = self._takes()
        if self._free is None:
            await asyncio.sleep(takes)
            return
        async with self._free:
            await asyncio.sleep(takes)
        self.worked += takes


@dataclass
class SharedServer(Server):
    """Begins all at once, each the slower the more there are beyond its places: a GPU's batch."""

    active: int = 0

    async def answer(self) -> None:
        assert self.places is not None
        left, self.active = self._takes(), self.active + 1
        while left > 1e-9:
            share = min(1.0, self.places / self.active)
            step = min(left / share, self.seconds / 20)
            await asyncio.sleep(step)
            left -= step * share
        self.active -= 1


@dataclass
class Work:
    """What came of it."""

    answered: int = 0
    timeouts: int = 0
    #: (time, in flight) at each request that was sent, and times of the answers.
    sent: list[tuple[float, int]] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)

    def rate(self, start: float, end: float) -> float:
        return sum(start < at <= end for at in self.answers) / (end - start)

    def in_flight(self, start: float, end: float) -> float:
        seen = [count for at, count in self.sent if start < at <= end]
        return sum(seen) / len(seen) if seen else 0.0

    @property
    def most(self) -> int:
        return max(count for _, count in self.sent)

    def reached(self, count: int) -> float:
        return next((at for at, in_flight in self.sent if in_flight >= count), float("inf"))


async def work_at(
    budgets: LaneBudgets, server: Server, *, seconds: float, timeout: float = float("inf"), rows: int = 10**9
) -> Work:
    """Send for so long, as fast as the budget allows; what timed out is sent again."""
    work, flying = Work(), 0
    end = now() + seconds
    answered_at = -1.0

    async def exchange(place: Reservation, at: float) -> None:
        nonlocal flying, answered_at
        task = asyncio.ensure_future(server.answer())
        done, _ = await asyncio.wait([task], timeout=min(timeout, 1e9))
        flying -= 1
        if done:
            finish(budgets, place)
            answered_at = now()
            work.answered += 1
            work.answers.append(now())
        else:
            work.timeouts += 1
            if answered_at > at:
                time_out(budgets, place)
            else:
                finish(budgets, place, answered=False)

    async with asyncio.TaskGroup() as group:
        while now() < end and work.answered + flying < rows:
            try:
                async with asyncio.timeout(seconds):
                    place = await budgets.reserve(LANE, charge())
            except TimeoutError:
                break
            flying += 1
            work.sent.append((now(), flying))
            group.create_task(exchange(place, now()))
    return work
