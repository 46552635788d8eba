"""Refusals that have nothing to do with the rate, where nobody names a limit: no rate is looked for in them."""

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from batcher.budget.rate_search import PaceSearch
from batcher.domain.lanes import RateHints
from batcher.domain.settings import Limits
from batcher.simulate.buckets import Rejected
from tests.unit.budget.lane import Row, Strict, run_lane
from tests.unit.budget.runs import LANE, now, opened


@dataclass
class Moody(Strict):
    """Refuses this share of the requests, whatever their rate, and names no time."""

    share: float = 0.2
    headers: bool = False
    retry_after: bool = False
    mood: random.Random = field(default_factory=lambda: random.Random(11))

    async def exchange(self, row: Row, number: int) -> tuple[Rejected | bool, RateHints]:
        if self.mood.random() < self.share:
            await asyncio.sleep(0.002)
            return Rejected(dimension="requests", limit=0, used=0, requested=1, retry_after_s=None), RateHints()
        return await super().exchange(row, number)


async def throughput(provider: Strict, rows: int) -> tuple[float, PaceSearch]:
    """Rows answered a second, and what the lane made of it."""
    budgets = opened()
    await run_lane(budgets, provider, [Row()] * rows)
    return rows / now(), budgets._lanes[LANE].gate.blind


@pytest.mark.parametrize(("share", "least"), [(0.2, 10.0), (0.4, 4.5)])
async def test_refusals_at_random_do_not_crush_the_throughput_however_long_it_goes_on(share, least):
    """A census that took each refusal for a limit would end at less than one a second, and go on falling."""
    provider = Moody(Limits(), share=share)
    rate, blind = await throughput(provider, 1_200)
    assert rate >= least
    assert blind.estimate is None
    second = provider.let_in[1_100].at - provider.let_in[700].at
    assert 400 / second >= least


async def test_a_rate_that_nobody_names_is_still_found():
    provider = Strict(Limits(rpm=1_800), headers=False, retry_after=False)
    rate, blind = await throughput(provider, 1_500)
    assert blind.estimate == pytest.approx(30, rel=0.05)
    assert rate >= 0.9 * 30
    assert provider.refused <= 0.01


async def test_a_rate_is_also_found_where_a_few_refusals_have_nothing_to_do_with_it():
    provider = Moody(Limits(rpm=1_800), share=0.004)
    rate, blind = await throughput(provider, 1_500)
    assert rate >= 0.75 * 30
    assert blind.estimate is not None
    assert provider.refused <= 0.02


@pytest.mark.parametrize(("share", "least"), [(0.02, 250.0), (0.1, 200.0), (0.3, 80.0)])
async def test_a_pool_that_others_share_costs_the_refused_rows_and_hardly_any_throughput(share, least):
    """1,500 rows of 0.2 s: 270 a second without refusals, and 24, 11 and 3 if each is taken for a limit."""
    provider = Moody(Limits(), share=share, latency=0.2, sigma=0.0)
    rate, blind = await throughput(provider, 1_500)
    assert rate >= least
    assert blind.estimate is None


@pytest.mark.parametrize(("rpm", "latency"), [(300, 0.1), (1_800, 0.5), (1_800, 5.0), (12_000, 0.5)])
async def test_a_limit_costs_five_refusals_before_it_is_looked_for(rpm, latency):
    provider = Strict(Limits(rpm=rpm), headers=False, retry_after=False, latency=latency)
    rate, blind = await throughput(provider, rpm)
    assert blind.estimate == pytest.approx(rpm / 60, rel=0.1)
    assert rate >= 0.6 * rpm / 60
    assert len(provider.arrived) - len(provider.let_in) <= 60


def test_every_fifth_request_refused_at_any_rate_is_no_limit_after_one_trial_at_half_the_rate():
    blind, at, paced = PaceSearch(0.0), 0.0, []
    for number in range(1, 1_000):
        at += max(0.1, blind.wait(at))
        mark = blind.spend(at)
        if number % 5:
            blind.answered()
        else:
            blind.refused(mark, at + 0.001, probe=False)
        paced.append(blind.state is not None)
    assert 5 <= sum(paced) <= 40
    assert blind.rate(at) is None


def test_one_refusal_in_a_hundred_is_never_taken_for_a_limit():
    blind = PaceSearch(0.0)
    for number in range(1, 3_000):
        mark = blind.spend(number / 10)
        if number % 100 == 0:
            assert blind.refused(mark, number / 10 + 0.001, probe=False) == 0.0
        assert blind.state is None
