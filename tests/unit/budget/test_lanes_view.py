import asyncio

import pytest

from batcher.domain.settings import Limits
from tests.support.virtual_time import EPOCH_US
from tests.unit.budget.runs import LANE, OTHER, charge, finish, opened, refuse, take, work


@pytest.mark.parametrize(
    ("limits", "most", "tokens", "latency", "binding", "utilization"),
    [
        (Limits(rpm=600), None, 100, 0.2, "rpm", 1.0),
        (Limits(rpm=600, tpm=60_000), None, 400, 0.2, "tpm", 1.0),
        (Limits(rpm=60), None, 0, 0.2, "rpm", 1.0),
        (Limits(rpm=6000), 4, 0, 0.5, "concurrency", 1.0),
        (Limits(), None, 0, 5000.0, "concurrency", 1.0),
    ],
)
async def test_the_view_names_what_binds_and_how_much_of_it_is_used(
    limits, most, tokens, latency, binding, utilization
):
    budgets = opened(limits, most=most)
    working = asyncio.create_task(work(budgets, [tokens] * 100_000, latency=latency))
    await asyncio.sleep(60)
    view = budgets.view(LANE)
    working.cancel()
    assert view.binding == binding
    assert view.utilization == pytest.approx(utilization, abs=0.06)


async def test_a_lane_with_too_little_to_do_is_bound_by_its_input():
    budgets = opened(Limits(rpm=600))
    for _ in range(40):
        finish(budgets, (await take(budgets, 1))[0])
        await asyncio.sleep(0.5)
    view = budgets.view(LANE)
    assert view.binding == "input"
    assert view.utilization == pytest.approx(0.2, abs=0.03)


async def test_what_went_long_ago_is_not_in_use():
    budgets = opened(Limits(rpm=600))
    await work(budgets, [0] * 300)
    await asyncio.sleep(60)
    assert budgets.view(LANE).utilization == 0


async def test_a_lane_without_limits_and_without_load_has_no_utilization():
    view = opened().view(LANE)
    assert (view.binding, view.utilization, view.in_flight, view.cooling_until) == ("input", None, 0, None)


async def test_a_cooling_lane_says_until_when_and_a_probed_one_is_still_held_by_the_provider():
    budgets = opened(Limits(rpm=600))
    (place,) = await take(budgets, 1)
    end = refuse(budgets, place, wait_s=30)
    view = budgets.view(LANE)
    assert view.binding == "provider"
    assert view.cooling_until == end
    assert EPOCH_US + 30_000_000 <= end <= EPOCH_US + 31_000_000
    await take(budgets, 1)
    assert (budgets.view(LANE).binding, budgets.view(LANE).cooling_until) == ("provider", None)


async def test_in_flight_counts_the_lane_alone():
    budgets = opened(lanes=[LANE, OTHER])
    await take(budgets, 3)
    await budgets.reserve(OTHER, charge())
    assert (budgets.view(LANE).in_flight, budgets.view(OTHER).in_flight) == (3, 1)


async def test_a_lane_is_held_for_as_long_as_it_cools_down():
    budgets = opened(Limits(rpm=600), lanes=[LANE, OTHER])
    (place,) = await take(budgets, 1)
    assert budgets.held_for(LANE) == 0.0
    refuse(budgets, place, wait_s=30)
    await asyncio.sleep(10.0)
    assert budgets.held_for(LANE) == pytest.approx(20.0, abs=1.1)
    assert budgets.held_for(OTHER) == 0.0
    await take(budgets, 1)
    # A probe is on its way: that takes no time that is known.
    assert budgets.held_for(LANE) == 0.0


async def test_a_lane_is_held_by_a_used_up_day_unless_a_reply_may_show_room_in_it():
    budgets = opened(Limits(rpd=1))
    (place,) = await take(budgets, 1)
    waiting = asyncio.create_task(take(budgets, 1))
    await asyncio.sleep(1.0)
    assert budgets.held_for(LANE) == 0.0
    finish(budgets, place)
    assert 80_000.0 < budgets.held_for(LANE) <= 90_000.0
    waiting.cancel()
