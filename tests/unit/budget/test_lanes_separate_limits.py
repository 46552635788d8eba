"""Input and output tokens apart, and limits of a day."""

import asyncio

import pytest

from batcher.domain.lanes import Charge, Charging, LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import RefusalCause
from tests.unit.budget.runs import LANE, charge, finish, is_held, now, opened, refuse, take

APART = RateHints(tpm=8_000, input_tpm=60_000, output_tpm=8_000, remaining_tokens=8_000)


async def run(budgets, count, *, prompt, output, cached=None, most=4000):
    """Requests that bring `output` of at most `most` tokens; the times they went at."""
    times = []

    async def exchange(place):
        await asyncio.sleep(0.2)
        usage = Usage(input_tokens=prompt, cached_input_tokens=cached, output_tokens=output)
        finish(budgets, place, usage=usage, hints=APART)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            place = await budgets.reserve(LANE, Charge(input_tokens=prompt, output_tokens=most))
            times.append(now())
            group.create_task(exchange(place))
    return times


@pytest.mark.parametrize(
    ("prompt", "output", "binding", "a_minute"),
    [(500, 10, "input_tpm", 120), (100, 100, "output_tpm", 80)],
)
async def test_input_and_output_tokens_are_limits_of_their_own(prompt, output, binding, a_minute):
    budgets = opened()
    times = await run(budgets, 200, prompt=prompt, output=output)
    assert 100 * 60 / (times[-1] - times[-101]) == pytest.approx(a_minute, rel=0.03)
    working = asyncio.create_task(run(budgets, 100, prompt=prompt, output=output))
    await asyncio.sleep(20)
    view = budgets.view(LANE)
    working.cancel()
    assert view.binding == binding
    assert view.utilization == pytest.approx(1.0, abs=0.1)
    assert budgets.memory(LANE).limits.input_tpm == 60_000


@pytest.mark.parametrize(("counts_cached", "a_minute"), [(True, 60), (False, 240)])
async def test_cached_input_is_charged_only_where_the_provider_counts_it(counts_cached, a_minute):
    budgets = opened(lanes=[])
    memory = LaneMemory(charging=Charging(counts_cached=counts_cached))
    budgets.open_lane(LANE, Limits(), cooling_until=None, memory=memory)
    times = await run(budgets, 400, prompt=1_000, cached=750, output=10)
    assert 100 * 60 / (times[-1] - times[-101]) == pytest.approx(a_minute, rel=0.05)
    assert budgets.memory(LANE).charging.counts_cached is counts_cached


async def test_a_daily_refusal_holds_the_lane_until_its_time_and_says_so():
    budgets = opened(Limits(rpm=600))
    (place,) = await take(budgets, 1)
    refuse(budgets, place, wait_s=3_600, cause=RefusalCause.DAY)
    view = budgets.view(LANE)
    assert view.binding == "day"
    assert view.cooling_until is not None
    assert await is_held(budgets, seconds=3599)
    await budgets.reserve(LANE, charge())
    assert now() == pytest.approx(3600, abs=1.1)


async def test_the_last_request_of_the_day_is_followed_by_the_next_share_of_it():
    budgets = opened()
    (place,) = await take(budgets, 1)
    finish(budgets, place)
    budgets.adopt_hints(LANE, RateHints(rpd=1440, remaining_requests_day=0))
    assert budgets.view(LANE).binding == "day"
    await budgets.reserve(LANE, charge())
    assert now() == pytest.approx(60, abs=0.1)


async def test_a_busy_server_named_by_its_refusal_gets_fewer_at_once_and_no_long_wait():
    budgets = opened()
    places = await take(budgets, 8)
    refuse(budgets, places[7], cause=RefusalCause.IN_FLIGHT)
    assert await is_held(budgets)
    finish(budgets, places[0])
    finish(budgets, places[1])
    finish(budgets, places[2])
    assert not await is_held(budgets)


@pytest.mark.parametrize("by_refusal", [True, False])
async def test_a_hold_for_the_day_is_still_one_after_a_restart(by_refusal):
    first = opened()
    (place,) = await take(first, 1)
    stored = None
    if by_refusal:
        stored = refuse(first, place, wait_s=60, cause=RefusalCause.DAY)
    else:
        finish(first, place, answered=False, hints=RateHints(rpd=1440, remaining_requests_day=0))
    memory = first.memory(LANE)
    await asyncio.sleep(20)
    assert first.memory(LANE) == memory
    second = opened(lanes=[])
    second.open_lane(LANE, Limits(), cooling_until=stored, memory=memory)
    view = second.view(LANE)
    assert view.binding == "day"
    assert view.cooling_until is not None
    await second.reserve(LANE, charge())
    assert now() == pytest.approx(60, abs=1.1)
    assert second.memory(LANE).limits.day_until is None
