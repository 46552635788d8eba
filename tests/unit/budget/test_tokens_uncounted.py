"""A lane whose replies count no tokens is not held back by our own estimate alone."""

import asyncio

import pytest

from batcher.budget.tokens import UNCOUNTED
from batcher.domain.lanes import Charge, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.settings import Limits
from batcher.domain.states import RefusalCause
from tests.unit.budget.runs import LANE, finish, now, opened, refuse

#: At 6,000 tokens a minute, 10 s each.
PAGE = Charge(input_tokens=1_000, output_tokens=0, counted=False)
NONE = Usage()
COUNTS = Usage(input_tokens=1_000, output_tokens=0)


async def times_of(budgets, charges, usages, hints=None):
    """When each request went; one after another, answered at once."""
    times = []
    for charge, usage in zip(charges, usages, strict=True):
        place = await budgets.reserve(LANE, charge)
        times.append(now())
        finish(budgets, place, usage=usage, hints=hints)
    return times


@pytest.mark.parametrize("limits", [Limits(tpm=6_000), Limits(input_tpm=6_000, output_tpm=6_000)])
async def test_after_a_few_answers_without_counts_the_estimate_holds_nothing_back(limits):
    times = await times_of(opened(limits), [PAGE] * 20, [NONE] * 20)
    assert times[UNCOUNTED - 1] == pytest.approx(UNCOUNTED * 10, abs=11)
    assert times[-1] - times[UNCOUNTED] < 1


@pytest.mark.parametrize(
    ("charge", "usages"),
    [
        (Charge(input_tokens=1_000, output_tokens=0), [NONE] * 8),
        (PAGE, [COUNTS] * 8),
        (PAGE, [NONE, NONE, COUNTS, *[NONE] * 5]),
    ],
    ids=["a chat", "counted", "counted once"],
)
async def test_other_lanes_keep_their_limit(charge, usages):
    times = await times_of(opened(Limits(tpm=6_000)), [charge] * 8, usages)
    assert times[-1] - times[-2] == pytest.approx(10, abs=1)


async def test_headers_of_a_bucket_are_obeyed():
    hints = RateHints(tpm=6_000, remaining_tokens=5_000)
    times = await times_of(opened(), [PAGE] * 8, [NONE] * 8, hints)
    assert times[-1] - times[-2] > 5


async def test_a_refusal_for_tokens_brings_the_limit_back():
    budgets = opened(Limits(tpm=6_000))
    await times_of(budgets, [PAGE] * 6, [NONE] * 6)
    place = await budgets.reserve(LANE, PAGE)
    refuse(budgets, place, cause=RefusalCause.TOKENS)
    times = await times_of(budgets, [PAGE] * 4, [NONE] * 4)
    assert times[-1] - times[-2] == pytest.approx(10, rel=0.2)


async def test_what_goes_uncharged_and_is_cancelled_gives_nothing_back():
    budgets = opened(Limits(tpm=6_000))
    await times_of(budgets, [PAGE] * 4, [NONE] * 4)
    started = now()
    for _ in range(5):
        budgets.cancel(await budgets.reserve(LANE, PAGE))
    place = await budgets.reserve(LANE, PAGE)
    # It counts after all, and is charged.
    finish(budgets, place, usage=COUNTS)
    assert now() == started
    await budgets.reserve(LANE, PAGE)
    await asyncio.wait_for(budgets.reserve(LANE, PAGE), 60)
    assert now() - started > 9
