import asyncio

import pytest

from batcher.domain.settings import Limits
from tests.unit.budget.runs import LANE, OTHER, charge, finish, is_held, opened, refuse, take, work

FAST = Limits(rpm=600_000)


async def climb(budgets, to, lane=LANE):
    """Answer and refill until so many are in flight; returns them."""
    flying = await take(budgets, min(8, to), lane)
    for _ in range(20_000):
        if len(flying) >= to:
            return flying
        finish(budgets, flying.pop(0), lane=lane)
        while len(flying) < to and not await is_held(budgets, lane=lane):
            flying += await take(budgets, 1, lane)
    pytest.fail(f"stuck at {len(flying)} in flight")


async def room(budgets, lane=LANE):
    """How many more would be let in now; they are let in."""
    places = []
    while len(places) < 2000 and not await is_held(budgets, lane=lane):
        places += await take(budgets, 1, lane)
    return len(places)


@pytest.mark.parametrize("limits", [Limits(), FAST, Limits(tpm=1e9)])
async def test_a_new_lane_has_eight_in_flight_until_the_first_success(limits):
    budgets = opened(limits)
    await asyncio.sleep(1)
    flying = await take(budgets, 8)
    assert await is_held(budgets, seconds=3600)
    finish(budgets, flying[0], answered=False)
    assert not await is_held(budgets)
    assert await room(budgets) == 1
    finish(budgets, flying[1])
    assert await room(budgets) == 2


async def test_the_level_doubles_a_round_trip():
    run = await work(opened(), [0] * 60, latency=1.0)
    sent = [sum(second - 0.5 < at < second + 0.5 for at in run.times) for second in range(4)]
    assert sent == [8, 16, 32, 4]


@pytest.mark.parametrize(
    ("limits", "most", "cap"),
    [
        (Limits(), None, 64),
        (FAST, None, 1000),
        (Limits(tpm=1e12), None, 1000),
        (Limits(), 5, 5),
        (FAST, 100, 100),
        (Limits(), 100, 100),
    ],
)
async def test_the_level_grows_up_to_its_cap(limits, most, cap):
    budgets = opened(limits, most=most)
    await work(budgets, [0] * 4000, latency=0.1)
    assert await room(budgets) == cap


async def test_the_level_does_not_grow_while_the_rate_is_what_limits():
    budgets = opened(Limits(rpm=600))
    await work(budgets, [0] * 600, latency=0.2)
    budgets.open_lane(LANE, FAST, cooling_until=None)
    await asyncio.sleep(1)
    assert await room(budgets) == 8


@pytest.mark.parametrize(
    ("limits", "wait_s", "restart", "expected"),
    [
        # Traffic starts again from a quarter of the level, which a refusal without a time has halved.
        (FAST, 1.0, False, [10, 20, 40, 45, 50]),
        (FAST, None, False, [5, 10, 20, 22, 25]),
        (FAST, 1.0, True, [5, 10, 20, 22, 25]),
        # Blind, also a refusal with a time says that it was too much; above the level it grows by one.
        (Limits(), 1.0, False, [5, 10, 20, 21, 22]),
    ],
)
async def test_a_refusal_ramps_traffic_up_again(limits, wait_s, restart, expected):
    budgets = opened(limits)
    await asyncio.sleep(1)
    flying = await climb(budgets, 40)
    for _ in range(40 - len(flying)):
        finish(budgets, flying.pop())
    refuse(budgets, flying.pop(), wait_s=wait_s, restart=restart)
    for place in flying:
        finish(budgets, place)  # answers to what was sent before the refusal grow nothing
    await asyncio.sleep(1.5)
    (probe,) = await take(budgets, 1)
    budgets.reconcile(probe, None)
    seen = []
    for _ in expected:
        await asyncio.sleep(1)
        flying = []
        while not await is_held(budgets):
            flying += await take(budgets, 1)
        seen.append(len(flying))
        for place in flying:
            finish_all_but_growth = place
            budgets.reconcile(finish_all_but_growth, None)
    assert seen == expected
