import asyncio

import pytest

from batcher.domain.lanes import Charge, Charging, LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule, LimitSource
from tests.unit.budget.runs import LANE, OTHER, Judge, charge, finish, is_held, now, opened, take, work


async def rate_of(budgets, count=200, tokens=0):
    """Requests a minute that get through, after the drained start."""
    run = await work(budgets, [tokens] * count, latency=0.05)
    return 60 * (count // 2) / (run.times[-1] - run.times[-1 - count // 2])


@pytest.mark.parametrize(
    ("given", "hints", "kept", "source"),
    [
        (Limits(), RateHints(rpm=600), Limits(rpm=600), LimitSource.ANNOUNCED),
        (Limits(), RateHints(tpm=90_000), Limits(tpm=90_000), LimitSource.ANNOUNCED),
        (Limits(), RateHints(), Limits(), LimitSource.LEARNED),
        (Limits(), RateHints(rpd=14_400, remaining_requests_day=7), Limits(), LimitSource.LEARNED),
        (Limits(), RateHints(rpm=0, tpm=-1), Limits(), LimitSource.LEARNED),
        (Limits(rpm=500), RateHints(rpm=900), Limits(rpm=500), LimitSource.GIVEN),
        (Limits(rpm=500), RateHints(rpm=300), Limits(rpm=300), LimitSource.GIVEN),
        (Limits(rpm=500), RateHints(rpm=0), Limits(rpm=500), LimitSource.GIVEN),
        (Limits(rpm=500), RateHints(tpm=90_000), Limits(rpm=500, tpm=90_000), LimitSource.GIVEN),
        (Limits(rpm=500), RateHints(rpm=499), Limits(rpm=500), LimitSource.GIVEN),
    ],
)
async def test_what_is_given_is_a_ceiling_and_what_is_announced_fills_in(given, hints, kept, source):
    budgets = opened(given)
    budgets.adopt_hints(LANE, hints)
    view = budgets.view(LANE)
    assert (Limits(rpm=view.rpm, tpm=view.tpm), view.source) == (kept, source)


async def test_an_announced_limit_takes_effect_at_once_and_starts_drained():
    budgets, limits = opened(), Limits(rpm=600)
    (place,) = await take(budgets, 1)
    budgets.adopt_hints(LANE, RateHints(rpm=600))
    finish(budgets, place)
    run = await work(budgets, [0] * 300, judge=Judge(limits))
    assert run.refused == 0
    assert run.times[0] == pytest.approx(0.1, rel=0.01)
    assert run.times[-1] <= 1.01 * 30 + 0.5


async def test_a_raised_limit_reaches_the_request_that_waits():
    budgets = opened(Limits(rpm=0.1))
    waiting = asyncio.create_task(budgets.reserve(LANE, charge()))
    await asyncio.sleep(5)
    budgets.open_lane(LANE, Limits(rpm=600), cooling_until=None)
    await waiting
    assert now() == pytest.approx(5.1, abs=0.01)


async def test_a_lowered_limit_is_followed_and_a_raised_one_too():
    budgets = opened()
    seen = []
    for rpm in (600, 300, 1200):
        budgets.adopt_hints(LANE, RateHints(rpm=rpm))
        seen.append(await rate_of(budgets))
    assert seen == pytest.approx([597, 298.5, 1194], rel=0.01)


async def test_a_limit_that_trembles_is_not_made_anew():
    budgets = opened()
    budgets.adopt_hints(LANE, RateHints(rpm=600, tpm=60_000))
    await asyncio.sleep(1)  # a remade limiter would be drained again
    for rpm in (600.001, 599.9, 601, 600):
        budgets.adopt_hints(LANE, RateHints(rpm=rpm, tpm=rpm * 100))
    assert not await is_held(budgets, tokens=450)


async def test_the_debt_of_a_large_request_outlives_a_change_of_limits():
    budgets = opened(Limits(tpm=60_000))
    finish(budgets, await budgets.reserve(LANE, charge(10_500)))
    began = now()
    budgets.open_lane(LANE, Limits(tpm=120_000), cooling_until=None)
    await budgets.reserve(LANE, charge(1))
    # 10,000 of debt and one drained bucket of 1,000, at 2,000 a second.
    assert now() - began == pytest.approx(5.0, rel=0.02)


async def test_limits_may_be_taken_away():
    budgets = opened(Limits(rpm=1))
    budgets.open_lane(LANE, Limits(), cooling_until=None)
    assert len(await take(budgets, 8)) == 8
    assert now() == 0


async def test_lanes_have_budgets_of_their_own():
    budgets = opened(Limits(rpm=60), lanes=[LANE])
    budgets.open_lane(OTHER, Limits(rpm=600), cooling_until=None)
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(work(budgets, [0] * 30))
        quick = group.create_task(work(budgets, [0] * 300, lane=OTHER))
    assert slow.result().times[-1] == pytest.approx(30.3, rel=0.01)
    assert quick.result().times[-1] == pytest.approx(30.15, rel=0.01)


@pytest.mark.parametrize("limits", [Limits(rpm=60), Limits(tpm=60_000), Limits(rpm=60, tpm=60_000)])
async def test_a_cancelled_wait_takes_nothing(limits):
    budgets = opened(limits)
    await asyncio.sleep(10)
    finish(budgets, await budgets.reserve(LANE, charge(500)))
    began = now()
    for _ in range(8):
        assert await is_held(budgets, tokens=450, seconds=0.05)
    await budgets.reserve(LANE, charge(450))
    assert now() - began == pytest.approx(1.01 if limits.rpm else 0.455, rel=0.01)


@pytest.mark.parametrize("tokens", [450, 20_000])
async def test_a_cancelled_reservation_gives_everything_back(tokens):
    budgets = opened(Limits(rpm=60, tpm=60_000))
    await asyncio.sleep(10)
    for _ in range(50):
        budgets.cancel(await budgets.reserve(LANE, charge(tokens)))
    assert now() == pytest.approx(10, abs=1e-6)
    assert budgets.view(LANE).in_flight == 0


async def test_what_was_given_back_does_not_pile_up():
    budgets = opened(Limits(tpm=600_000))
    await asyncio.sleep(10)
    places = [await budgets.reserve(LANE, charge(600)) for _ in range(8)]
    for place in places:
        budgets.cancel(place)
    await asyncio.sleep(10)
    run = await work(budgets, [600] * 20, latency=0.001)
    assert sum(size for at, size in run.sent if at < 20.001) <= 5000


@pytest.mark.parametrize("give", ["cancel", "finish"])
async def test_a_reservation_is_given_back_once(give):
    budgets = opened(most=5)
    first, _ = await take(budgets, 2)
    for _ in range(3):
        budgets.cancel(first) if give == "cancel" else finish(budgets, first)
    finish(budgets, first)
    budgets.cancel(first)
    assert budgets.view(LANE).in_flight == 1


async def test_a_waiting_request_is_let_in_when_another_is_cancelled():
    budgets = opened(Limits(tpm=600))
    place = await budgets.reserve(LANE, charge(5))
    waiting = asyncio.create_task(budgets.reserve(LANE, charge(5)))
    await asyncio.sleep(0.01)
    began = now()
    budgets.cancel(place)
    await waiting
    assert now() - began < 0.001


@pytest.mark.parametrize(
    ("rule", "usage", "next_after"),
    [
        (ChargeRule.SUM, Usage(input_tokens=100, output_tokens=0), 0.452),
        (ChargeRule.SUM, None, 0.452),
        (ChargeRule.MAX, Usage(input_tokens=100, output_tokens=0), 0.352),
        (ChargeRule.PRODUCED, Usage(input_tokens=100, output_tokens=0), 0.100),
        (ChargeRule.PRODUCED, Usage(input_tokens=100, output_tokens=350), 0.452),
        (ChargeRule.PRODUCED, Usage(input_tokens=100, output_tokens=450), 0.553),
        (ChargeRule.PRODUCED, Usage(input_tokens=100), 0.452),
        (ChargeRule.PRODUCED, None, 0.452),
    ],
)
async def test_only_produced_corrects_by_usage(rule, usage, next_after):
    budgets = opened(lanes=[])
    memory = LaneMemory(charging=Charging(rule=rule))
    budgets.open_lane(LANE, Limits(tpm=60_000), cooling_until=None, memory=memory)
    await asyncio.sleep(10)
    place = await budgets.reserve(LANE, Charge(input_tokens=100, output_tokens=350))
    finish(budgets, place, answered=False, usage=usage)
    await budgets.reserve(LANE, charge(497))  # a bucketful: it goes when all before is paid
    assert now() - 10 == pytest.approx(next_after, abs=0.003)


async def test_a_lane_that_was_not_opened_and_a_strange_reservation_are_named():
    budgets = opened()
    with pytest.raises(LookupError, match=r"other.*call open_lane first"):
        await budgets.reserve(OTHER, charge())
    strange = type("Strange", (), {"lane": LANE})()
    with pytest.raises(TypeError, match="not a reservation of this budget"):
        finish(budgets, strange)
