"""A lane at work in virtual time, and a strict provider that judges what reaches it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from batcher.budget.lanes import LaneBudgets
from batcher.domain.feedback import Feedback
from batcher.domain.ids import EndpointId
from batcher.domain.lanes import Charge, LaneKey, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import RefusalCause, RequestEnd
from batcher.ports import Budget, Reservation
from tests.support.virtual_time import VirtualClock

LANE = LaneKey(endpoint_id=EndpointId(1), key_name="OPENAI_API_KEY", model="m")
OTHER = LaneKey(endpoint_id=EndpointId(1), key_name="OPENAI_API_KEY", model="other")

#: Seconds of budget the provider saves up.
SAVED_S = 1.0


def charge(tokens: int = 0) -> Charge:
    return Charge(input_tokens=tokens, output_tokens=0)


def opened(
    limits: Limits | None = None, *, most: int | None = None, lanes: Iterable[LaneKey] = (LANE,)
) -> LaneBudgets:
    budgets: Budget = LaneBudgets(VirtualClock(), most_in_flight=most)
    for lane in lanes:
        budgets.open_lane(lane, limits or Limits(), cooling_until=None)
    assert isinstance(budgets, LaneBudgets)
    return budgets


def now() -> float:
    return asyncio.get_running_loop().time()


class Bucket:
    """A token bucket, full at first. What exceeds it goes only when it is full, and leaves it in debt."""

    def __init__(self, limit: float, least: float) -> None:
        self._rate = limit / 60
        self._size = max(least, self._rate * SAVED_S)
        self._level = self._size
        self._at = 0.0

    def has(self, amount: float, at: float) -> bool:
        self._level = min(self._size, self._level + (at - self._at) * self._rate)
        self._at = at
        return self._level >= min(amount, self._size) - 1e-6

    def take(self, amount: float) -> None:
        self._level -= amount


class Provider(Protocol):
    def admits(self, tokens: float, at: float) -> bool: ...


class Judge:
    """The provider: admits a request only if every bucket has it."""

    def __init__(self, limits: Limits) -> None:
        self._requests = None if limits.rpm is None else Bucket(limits.rpm, 1)
        self._tokens = None if limits.tpm is None else Bucket(limits.tpm, 0)

    def admits(self, tokens: float, at: float) -> bool:
        asked = [(b, n) for b, n in ((self._requests, 1.0), (self._tokens, tokens)) if b is not None]
        if not all(bucket.has(amount, at) for bucket, amount in asked):
            return False
        for bucket, amount in asked:
            bucket.take(amount)
        return True


@dataclass
class Run:
    """What was sent: (loop time, tokens), in order; and how many of it were refused."""

    sent: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.sent]


async def work(
    budgets: LaneBudgets,
    sizes: Iterable[int],
    *,
    judge: Provider | None = None,
    latency: float = 0.5,
    stall: tuple[int, float] | None = None,
    lane: LaneKey = LANE,
) -> Run:
    """Send requests of these sizes as fast as the budget allows. `stall`: every so many the loop hangs so long."""
    run = Run()

    async def exchange(place: Reservation, *, admitted: bool) -> None:
        await asyncio.sleep(latency)
        if admitted:
            finish(budgets, place)
        else:
            refuse(budgets, place)

    async with asyncio.TaskGroup() as group:
        for number, size in enumerate(sizes):
            place = await budgets.reserve(lane, charge(size))
            admitted = judge is None or judge.admits(size, now())
            run.sent.append((now(), size))
            run.refused += not admitted
            group.create_task(exchange(place, admitted=admitted))
            if stall and number % stall[0] == 0:
                await asyncio.sleep(stall[1])
    return run


async def take(budgets: LaneBudgets, count: int, lane: LaneKey = LANE) -> list[Reservation]:
    return [await budgets.reserve(lane, charge()) for _ in range(count)]


async def is_held(budgets: LaneBudgets, *, lane: LaneKey = LANE, tokens: int = 0, seconds: float = 0.001) -> bool:
    """Whether a request finds no way in within so many seconds. If it does, it is given back."""
    try:
        async with asyncio.timeout(seconds):
            place = await budgets.reserve(lane, charge(tokens))
    except TimeoutError:
        return True
    budgets.cancel(place)
    return False


def finish(
    budgets: LaneBudgets,
    place: Reservation,
    *,
    answered: bool = True,
    usage: Usage | None = None,
    hints: RateHints | None = None,
) -> None:
    end = RequestEnd.ANSWERED if answered else RequestEnd.FAILED
    budgets.finish(place, Feedback(end=end, usage=usage, hints=hints))


def refuse(
    budgets: LaneBudgets,
    place: Reservation,
    *,
    wait_s: float | None = None,
    jitter: float = 0.0,
    restart: bool = False,
    cause: RefusalCause | None = None,
    hints: RateHints | None = None,
) -> int:
    feedback = Feedback(
        end=RequestEnd.REFUSED,
        hints=hints,
        cause=cause,
        wait_us=None if wait_s is None else round(wait_s * 1e6),
        jitter=jitter,
        restart_ramp=restart,
    )
    until = budgets.finish(place, feedback).cooling_until
    assert until is not None
    return until


def time_out(budgets: LaneBudgets, place: Reservation) -> bool:
    """Whether a queue at the server explains it."""
    return budgets.finish(place, Feedback(end=RequestEnd.TIMED_OUT)).queued
