import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.domain.settings import Limits
from batcher.policy.rate.token_bucket import Level
from tests.support.virtual_time import EPOCH_US, VirtualClock, run_virtual
from tests.unit.budget.runs import LANE, charge, finish, is_held, now, opened, refuse, take, work


@given(
    wait_us=st.none() | st.integers(1, 7_200_000_000),
    jitter=st.floats(0, 1),
    begin=st.floats(0, 1e6),
    rpm=st.none() | st.floats(1, 1e5),
)
@settings(max_examples=150, deadline=None)
def test_a_cool_down_never_ends_early_and_at_most_a_little_late(wait_us, jitter, begin, rpm):
    async def main():
        budgets, clock = opened(Limits(rpm=rpm)), VirtualClock()
        await asyncio.sleep(begin)
        (place,) = await take(budgets, 1)
        at, told = now(), clock.now()
        end = refuse(budgets, place, wait_s=None if wait_us is None else wait_us / 1e6, jitter=jitter)
        wait_s = 1.0 if wait_us is None else wait_us / 1e6
        assert end >= told + wait_s * 1e6
        await take(budgets, 1)
        interval = 0.0 if rpm is None else 61 / rpm
        assert at + wait_s <= now() <= at + max(interval, wait_s + max(0.01, min(0.25, 0.1 * wait_s))) + 1e-3
        assert clock.now() >= end - 1 or rpm is not None

    run_virtual(main())


async def test_after_a_cool_down_one_request_goes_alone_until_it_is_answered():
    budgets = opened()
    first, *_ = await take(budgets, 4)
    refuse(budgets, first, wait_s=2)
    (probe,) = await take(budgets, 1)
    assert now() == pytest.approx(2, abs=1e-3)
    assert await is_held(budgets, seconds=5)
    finish(budgets, probe)
    assert not await is_held(budgets)


async def test_a_refused_probe_keeps_the_lane_closed():
    budgets = opened()
    (place,) = await take(budgets, 1)
    refuse(budgets, place, wait_s=2)
    (probe,) = await take(budgets, 1)
    refuse(budgets, probe, wait_s=30)
    (probe,) = await take(budgets, 1)
    assert now() == pytest.approx(32, abs=1e-3)
    assert await is_held(budgets, seconds=5)


async def test_a_probe_that_was_never_sent_is_followed_by_another_probe():
    budgets = opened(Limits(rpm=1e6))
    (place,) = await take(budgets, 1)
    refuse(budgets, place, wait_s=1)
    (probe,) = await take(budgets, 1)
    budgets.cancel(probe)
    await take(budgets, 1)
    assert await is_held(budgets, seconds=5)


async def test_a_probe_that_is_not_refused_for_ten_seconds_was_let_in():
    budgets = opened(Limits(rpm=1e6))
    (place,) = await take(budgets, 1)
    refuse(budgets, place, wait_s=1)
    await take(budgets, 1)
    assert await is_held(budgets, seconds=9.9)
    await asyncio.sleep(0.2)
    assert not await is_held(budgets)


async def test_a_probe_goes_although_older_requests_fill_the_level():
    budgets = opened()
    first, *_ = await take(budgets, 8)
    refuse(budgets, first)
    await take(budgets, 1)
    assert now() == pytest.approx(1, abs=1e-3)


async def test_our_own_waits_double_and_a_success_resets_them():
    budgets, began = opened(), []
    for _ in range(9):
        (place,) = await take(budgets, 1)
        began.append(now())
        refuse(budgets, place)
    waits = [later - earlier for earlier, later in pairwise(began)]
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60], abs=1e-3)
    (place,) = await take(budgets, 1)
    finish(budgets, place)
    (place,) = await take(budgets, 1)
    ended = now()
    refuse(budgets, place)
    await take(budgets, 1)
    assert now() - ended == pytest.approx(1, abs=1e-3)


async def test_a_storm_of_refusals_is_one_refusal():
    budgets = opened()
    places = await take(budgets, 8)
    for place in places[:4]:
        refuse(budgets, place)
        await asyncio.sleep(0.1)
    (probe,) = await take(budgets, 1)
    assert now() == pytest.approx(1, abs=1e-3)
    for place in places[4:]:  # they too were sent before the first refusal
        refuse(budgets, place)
        await asyncio.sleep(0.1)
    finish(budgets, probe)
    assert not await is_held(budgets)
    (place,) = await take(budgets, 1)
    ended = now()
    refuse(budgets, place)
    await take(budgets, 1)
    assert now() - ended == pytest.approx(1, abs=1e-3)


async def test_of_several_told_times_the_furthest_holds():
    budgets = opened()
    places = await take(budgets, 5)
    ends = [refuse(budgets, place, wait_s=wait) for place, wait in zip(places, (3, 20, 1, None, 7), strict=True)]
    assert ends == [EPOCH_US + 1_000_000 * seconds for seconds in (3, 20, 20, 20, 20)]
    await take(budgets, 1)
    assert now() == pytest.approx(20, abs=1e-3)


async def test_an_old_refusal_that_names_a_time_is_obeyed_after_the_cool_down_too():
    budgets = opened()
    first, second = await take(budgets, 2)
    refuse(budgets, first, wait_s=1)
    (probe,) = await take(budgets, 1)
    refuse(budgets, second, wait_s=5)
    finish(budgets, probe)
    await take(budgets, 1)
    assert now() == pytest.approx(6, abs=1e-3)
    assert await is_held(budgets, seconds=5)


async def test_a_request_that_waits_for_its_rate_does_not_slip_into_a_cool_down():
    budgets = opened(Limits(rpm=600))
    sending = await take(budgets, 2)
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(0.01)
    refuse(budgets, sending[0], wait_s=9)
    began = now()
    await waiting
    assert now() >= began + 9


async def test_no_tokens_are_given_back_for_a_refusal():
    budgets = opened(Limits(tpm=60_000))
    place = await budgets.reserve(LANE, charge(450))
    finish(budgets, place, answered=False)
    assert await is_held(budgets, tokens=450, seconds=0.3)


@pytest.mark.parametrize("wait_s", [0, -3])
async def test_a_wait_of_nothing_names_no_time(wait_s):
    budgets = opened()
    (place,) = await take(budgets, 1)
    assert refuse(budgets, place, wait_s=wait_s) == EPOCH_US + 1_000_000


async def test_a_lane_may_be_opened_cooling():
    budgets = opened()
    budgets.open_lane(LANE, Limits(), cooling_until=EPOCH_US + 90_000_000)
    assert budgets.view(LANE).cooling_until == EPOCH_US + 90_000_000
    await take(budgets, 1)
    assert now() == pytest.approx(90, abs=1e-3)
    assert await is_held(budgets, seconds=5)


async def test_a_cool_down_that_has_passed_holds_nobody():
    await asyncio.sleep(10)
    budgets = opened()
    budgets.open_lane(LANE, Limits(), cooling_until=EPOCH_US + 1_000_000)
    await take(budgets, 8)
    assert now() == pytest.approx(10, abs=1e-6)


async def test_a_refused_run_comes_to_its_end():
    class Moody:
        """Refuses every seventh."""

        count = 0

        def admits(self, _tokens, _at):
            self.count += 1
            return self.count % 7 != 0

    run = await work(opened(), [0] * 700, judge=Moody())
    assert len(run.sent) == 700


@pytest.mark.parametrize("is_cooling", [False, True])
async def test_a_restart_sends_one_alone_and_then_ramps_up_to_what_was_learned(is_cooling):
    """After an outage or a pause nothing was refused, so nothing is cut, and no wait is added."""
    budgets = opened()
    level = budgets._lanes[LANE].gate
    level.level = Level(32.0, 32.0)
    first, *rest = await take(budgets, 4)
    if is_cooling:
        refuse(budgets, first, wait_s=5)
        rest = rest[1:]
    for place in rest:
        finish(budgets, place, answered=False)
    target = level.level.overall
    budgets.restart(LANE)
    began = now()
    (probe,) = await take(budgets, 1)
    assert now() - began == pytest.approx(5 if is_cooling else 0, abs=1e-3)
    assert await is_held(budgets, seconds=1)
    finish(budgets, probe)
    run = await work(budgets, [0] * 200, latency=1.0)
    assert run.refused == 0
    assert sum(at <= run.times[0] + 0.5 for at in run.times) <= 4
    assert level.level.overall >= target
