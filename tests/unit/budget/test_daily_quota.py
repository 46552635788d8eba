"""Limits a day, counted by us, in virtual time."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.budget.lanes import LaneBudgets
from batcher.domain.lanes import DayBegins, DayUse, LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from tests.support.virtual_time import EPOCH_US, VirtualClock, run_virtual
from tests.unit.budget.runs import LANE, charge, finish, is_held, now, opened, take

HOUR = 3_600.0


async def sent(budgets: LaneBudgets, count: int, *, tokens: int = 0, took: int = 0) -> list[float]:
    """So many requests one after another, each answered at once; when they went."""
    times = []
    for _ in range(count):
        place = await budgets.reserve(LANE, charge(tokens))
        times.append(now())
        finish(budgets, place, usage=Usage(input_tokens=took, output_tokens=0))
    return times


async def test_the_day_s_requests_go_and_the_next_waits_until_the_first_are_a_day_old():
    budgets = opened(Limits(rpd=50))
    times = await sent(budgets, 51)
    assert times[49] < 1.0
    assert 24 * HOUR <= times[50] <= 25 * HOUR + 60


async def test_a_day_that_is_used_up_is_shown_with_its_end():
    budgets = opened(Limits(rpd=5))
    places = await take(budgets, 5)
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(10)
    view = budgets.view(LANE)
    assert view.binding == "day"
    assert view.cooling_until is not None
    assert 24 * HOUR <= (view.cooling_until - EPOCH_US) / 1e6 <= 25 * HOUR
    for place in places:
        finish(budgets, place)
    place = await waiting
    assert now() <= 25 * HOUR + 60
    assert budgets.view(LANE).cooling_until is None
    finish(budgets, place)


async def test_tokens_of_a_day_are_those_that_replies_counted():
    budgets = opened(Limits(tpd=10_000))
    times = await sent(budgets, 101, tokens=50, took=100)
    assert times[98] < 1.0
    assert times[100] >= 24 * HOUR


async def test_a_request_that_was_not_sent_is_not_counted_and_one_without_an_answer_takes_no_tokens():
    budgets = opened(Limits(rpd=3, tpd=100))
    for _ in range(5):
        budgets.cancel(await budgets.reserve(LANE, charge(90)))
    for _ in range(2):
        finish(budgets, await budgets.reserve(LANE, charge(90)), answered=False)
    assert not await is_held(budgets, tokens=90)
    await sent(budgets, 1)
    assert await is_held(budgets)


async def test_the_next_run_goes_on_with_the_day():
    first = opened(Limits(rpd=50))
    await sent(first, 30)
    await asyncio.sleep(5 * HOUR)
    second = opened(lanes=[])
    second.open_lane(LANE, Limits(rpd=50), cooling_until=None, memory=first.memory(LANE))
    times = await sent(second, 21)
    assert times[19] <= 5 * HOUR + 60
    assert times[20] >= 24 * HOUR


async def test_a_run_within_the_wait_waits_for_the_same_end_and_a_raised_limit_ends_it():
    first = opened(Limits(rpd=20))
    await sent(first, 20)
    second = opened(lanes=[])
    second.open_lane(LANE, Limits(rpd=20), cooling_until=None, memory=first.memory(LANE))
    assert await is_held(second, seconds=23 * HOUR)
    waiting = asyncio.create_task(second.reserve(LANE, charge()))
    await asyncio.sleep(1)
    second.open_lane(LANE, Limits(rpd=21), cooling_until=None)
    await asyncio.wait_for(waiting, 0.01)
    assert now() < 24 * HOUR


async def test_a_day_that_begins_at_midnight_ends_there():
    budgets = opened(lanes=[])
    hour_now = VirtualClock().now() / 1e6 / HOUR % 24
    memory = LaneMemory(day=DayUse(begins=DayBegins(earliest=0, latest=0)))
    budgets.open_lane(LANE, Limits(rpd=10), cooling_until=None, memory=memory)
    times = await sent(budgets, 11)
    assert abs(times[10] - (24 - hour_now) * HOUR) <= 1.0


async def test_of_an_announced_limit_what_the_provider_says_is_left_counts_and_else_our_own_count():
    budgets = opened()
    budgets.adopt_hints(LANE, RateHints(rpd=5, remaining_requests_day=3))
    await sent(budgets, 8)
    budgets.adopt_hints(LANE, RateHints(rpd=10))
    await sent(budgets, 2)
    assert await is_held(budgets)


async def test_a_limit_that_was_given_is_a_ceiling_over_the_announced_one():
    budgets = opened(Limits(rpd=5))
    budgets.adopt_hints(LANE, RateHints(rpd=10))
    await sent(budgets, 5)
    assert await is_held(budgets)


async def test_other_limits_hold_beside_it():
    budgets = opened(Limits(rpm=60, rpd=1_000))
    times = await sent(budgets, 10)
    assert times[-1] >= 9


@given(pauses=st.lists(st.floats(0, 5 * HOUR), min_size=10, max_size=30), limit=st.integers(1, 6))
@settings(max_examples=15, deadline=None)
def test_within_any_24_hours_no_more_than_the_limit_goes_also_over_restarts(pauses, limit):
    times = run_virtual(with_restarts(pauses, limit))
    assert all(later - first >= 24 * HOUR for first, later in zip(times, times[limit:], strict=False))


async def with_restarts(pauses: list[float], limit: int) -> list[float]:
    times, memory = [], LaneMemory()
    for number, pause in enumerate(pauses):
        if number % 7 == 0:
            budgets = opened(lanes=[])
            budgets.open_lane(LANE, Limits(rpd=limit), cooling_until=None, memory=memory)
        times += await sent(budgets, 1)
        memory = budgets.memory(LANE)
        await asyncio.sleep(pause)
    return times


async def test_what_is_handed_on_is_the_use_of_what_came_back():
    """Those in flight are counted when their runner is found dead; a clean end has none."""
    budgets = opened(Limits(rpd=50))
    places = await take(budgets, 5)
    budgets.cancel(places.pop())
    for place in places[:2]:
        finish(budgets, place, usage=Usage(input_tokens=30, output_tokens=10))
    assert [(each.requests, each.tokens) for each in budgets.memory(LANE).day.hours] == [(2, 80)]
    for place in places[2:]:
        finish(budgets, place, answered=False)
    assert [(each.requests, each.tokens) for each in budgets.memory(LANE).day.hours] == [(4, 80)]


async def test_only_a_limit_of_the_day_is_kept_with_each_commit():
    assert not opened(Limits(rpm=60_000, tpm=10_000)).counts_days(LANE)
    assert opened(Limits(rpd=50)).counts_days(LANE)
    assert opened(Limits(tpd=50)).counts_days(LANE)
