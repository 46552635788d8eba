"""What admission costs is measured by `make bench-rate`; here, what makes it cheap."""

import asyncio

import pytest

from batcher.domain.lanes import RateHints
from batcher.domain.settings import Limits
from tests.unit.budget.runs import LANE, charge, finish, opened


@pytest.mark.parametrize("hints", [None, RateHints(rpm=6e8, tpm=6e11, remaining_tokens=6e11 - 1_000)])
async def test_where_there_is_room_a_reservation_waits_for_nothing(hints):
    budgets = opened(Limits(rpm=6e8, tpm=6e11))
    await asyncio.sleep(0.5)
    first = await budgets.reserve(LANE, charge(800))
    finish(budgets, first, hints=hints)
    with pytest.raises(StopIteration):
        budgets.reserve(LANE, charge(800)).send(None)
