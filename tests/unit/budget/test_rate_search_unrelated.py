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


def refuse_until_given_up(blind: PaceSearch, *, every: int, seconds: float) -> int | None:
    """Requests one a tenth of a second, each `every`-th refused; after how many no rate is looked for any more."""
    at = 0.0
    for number in range(1, int(seconds * 10)):
        at += max(0.1, blind.wait(at))
        mark = blind.spend(at)
        if number % every:
            blind.answered()
        else:
            blind.refused(mark, at + 0.001, probe=False)
            if blind.state is None and number > every:
                return number
    return None


def test_it_is_given_up_only_after_many_refusals_among_few_requests_at_a_rate_that_was_cut():
    assert refuse_until_given_up(PaceSearch(0.0), every=100, seconds=3_000) is None
    found = refuse_until_given_up(PaceSearch(0.0), every=5, seconds=3_000)
    assert found is not None
    # Forty are looked at, of which six were refused.
    assert 40 <= found <= 80
    assert PaceSearch(0.0).rate(0.0) is None


def test_once_given_up_every_refusal_holds_the_lane_shortly_and_paces_nothing():
    blind = PaceSearch(0.0)
    assert refuse_until_given_up(blind, every=5, seconds=3_000) is not None
    for at in (10_000.0, 10_010.0, 10_020.0):
        held = blind.refused(blind.spend(at), at + 0.01, probe=False)
        assert held == pytest.approx(0.5)
        assert blind.wait(at + 0.02) == 0
        assert blind.rate(at) is None
