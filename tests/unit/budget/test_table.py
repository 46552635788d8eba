import asyncio
import random

import pytest

from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule
from tests.support.virtual_time import run_virtual
from tests.unit.budget.lane import Row, Strict, run_lane
from tests.unit.budget.runs import LANE, OTHER, opened

SMALL = Row()


def mixed(count: int) -> list[Row]:
    draw = random.Random(7)
    totals = [draw.choice((900, 1400, 2000)) for _ in range(count)]
    return [Row(int(total * 0.4), int(total * 0.6)) for total in totals]


def with_long(count: int) -> list[Row]:
    draw = random.Random(8)
    long = [draw.random() < 0.2 for _ in range(count)]
    return [
        Row(draw.randint(1000, 2000), draw.randint(1500, 3500))
        if is_long
        else Row(draw.randint(50, 300), draw.randint(100, 600))
        for is_long in long
    ]


async def test_1200_requests_a_minute_given():
    provider = Strict(Limits(rpm=1200))
    await run_lane(opened(Limits(rpm=1200)), provider, [SMALL] * 1000)
    assert provider.utilization(2) >= 0.98
    assert provider.refused == 0


@pytest.mark.parametrize("rule", list(ChargeRule))
@pytest.mark.parametrize("given", [True, False])
async def test_300000_tokens_a_minute_whose_rule_nobody_tells(rule, given):
    provider = Strict(Limits(tpm=300_000), rule)
    await run_lane(opened(Limits(tpm=300_000) if given else Limits()), provider, mixed(500))
    assert provider.utilization(5) >= 0.95
    assert provider.refused <= 0.005


@pytest.mark.parametrize("rule", list(ChargeRule))
async def test_a_token_limit_with_slow_replies(rule):
    provider = Strict(Limits(tpm=300_000), rule, latency=3.0, sigma=0.5)
    await run_lane(opened(Limits(tpm=300_000)), provider, mixed(600))
    assert provider.utilization(15) >= 0.94
    assert provider.refused <= 0.005


async def test_limits_only_in_headers():
    provider = Strict(Limits(rpm=1500))
    await run_lane(opened(), provider, [SMALL] * 1200)
    assert provider.utilization(5) >= 0.95
    assert provider.refused <= 0.01


@pytest.mark.parametrize(
    ("rpm", "settle", "seconds"), [(1800, 30, 80), (600, 30, 100), (120, 60, 300), (12_000, 40, 80)]
)
async def test_a_limit_that_nobody_names(rpm, settle, seconds):
    provider = Strict(Limits(rpm=rpm), headers=False, retry_after=False)
    await run_lane(opened(), provider, [SMALL] * int(rpm / 60 * seconds))
    assert provider.utilization(settle) >= 0.85
    assert provider.refused <= 0.05


async def test_a_fifth_of_very_long_requests_keeps_their_order():
    provider = Strict(Limits(tpm=300_000))
    await run_lane(opened(Limits(tpm=300_000)), provider, with_long(400))
    assert provider.utilization(5) >= 0.95
    assert provider.refused <= 0.005
    assert [each.number for each in provider.let_in] == list(range(400))


async def test_two_models_at_limits_of_their_own():
    budgets = opened(Limits(rpm=1200), lanes=[LANE])
    budgets.open_lane(OTHER, Limits(rpm=120), cooling_until=None)
    fast, slow = Strict(Limits(rpm=1200)), Strict(Limits(rpm=120))
    async with asyncio.TaskGroup() as group:
        group.create_task(run_lane(budgets, fast, [SMALL] * 900))
        group.create_task(run_lane(budgets, slow, [SMALL] * 90, lane=OTHER))
    assert min(fast.utilization(2), slow.utilization(2)) >= 0.95
    assert fast.refused == slow.refused == 0
