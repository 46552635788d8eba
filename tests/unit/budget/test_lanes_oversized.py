"""Which limits are certain enough to say that a request can never fit."""

import pytest

from batcher.budget.lanes import LaneBudgets
from batcher.domain.lanes import Charge, Charging, KnownLimits, LaneMemory, RateHints, TokenLimit
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule, LimitSource
from tests.support.virtual_time import VirtualClock
from tests.unit.budget.lane import Row, Strict, run_lane
from tests.unit.budget.runs import LANE

HUGE = Charge(input_tokens=10, output_tokens=500_000)
MAX = Charging(rule=ChargeRule.MAX)
GIVEN = TokenLimit(tpm=60_000, source=LimitSource.GIVEN)


def opened(limits: Limits = Limits(), memory: LaneMemory = LaneMemory(charging=MAX)) -> LaneBudgets:  # noqa: B008 - frozen
    budgets = LaneBudgets(VirtualClock(), most_in_flight=None)
    budgets.open_lane(LANE, limits, cooling_until=None, memory=memory)
    return budgets


async def test_a_limit_that_was_given_is_certain_from_the_start():
    assert opened(Limits(tpm=60_000)).never_fits(LANE, HUGE) == GIVEN


async def test_an_announced_limit_is_certain_once_this_run_has_heard_it():
    old = LaneMemory(limits=KnownLimits(tpm=60_000), charging=MAX)
    budgets = opened(memory=old)
    assert budgets.never_fits(LANE, HUGE) is None
    budgets.adopt_hints(LANE, RateHints(tpm=60_000))
    assert budgets.never_fits(LANE, HUGE) == TokenLimit(tpm=60_000, source=LimitSource.ANNOUNCED)


async def test_of_a_given_and_an_announced_limit_the_lower_one_counts():
    budgets = opened(Limits(tpm=60_000))
    budgets.adopt_hints(LANE, RateHints(tpm=90_000))
    assert budgets.never_fits(LANE, HUGE) == GIVEN
    budgets.adopt_hints(LANE, RateHints(tpm=30_000))
    assert budgets.never_fits(LANE, HUGE) == TokenLimit(tpm=30_000, source=LimitSource.ANNOUNCED)


@pytest.mark.parametrize("rule", ChargeRule)
async def test_that_the_maximum_is_charged_is_soon_seen_in_headers_also_where_sum_and_max_are_nearly_one(rule):
    budgets = opened(Limits(tpm=60_000), LaneMemory())
    assert budgets.never_fits(LANE, HUGE) is None
    provider = Strict(Limits(tpm=60_000), rule, latency=0.1)
    await run_lane(budgets, provider, [Row(prompt=1, most=500, output=20)] * 20)
    assert (budgets.never_fits(LANE, HUGE) is not None) is (rule is not ChargeRule.PRODUCED)


@pytest.mark.parametrize(
    ("charge", "rule"),
    [
        (Charge(input_tokens=10, output_tokens=60_000), ChargeRule.MAX),
        (Charge(input_tokens=500_000, output_tokens=10), ChargeRule.MAX),
        (Charge(input_tokens=10, output_tokens=500_000, bounded=False), ChargeRule.MAX),
        (HUGE, ChargeRule.PRODUCED),
        (HUGE, None),
    ],
)
async def test_what_fits_is_estimated_or_is_not_charged_may_go(charge, rule):
    budgets = opened(Limits(tpm=60_000), LaneMemory(charging=Charging(rule=rule)))
    assert budgets.never_fits(LANE, charge) is None


async def test_a_limit_that_is_raised_counts_as_raised():
    budgets = opened(Limits(tpm=60_000))
    budgets.open_lane(LANE, Limits(tpm=1_000_000), cooling_until=None)
    assert budgets.never_fits(LANE, HUGE) is None
