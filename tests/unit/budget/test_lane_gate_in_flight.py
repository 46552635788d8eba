"""Refusals for what is in flight that state a wait: what was accepted is kept, and more is tried seldom."""

import asyncio

import pytest

from batcher.budget.lanes import LaneBudgets
from batcher.domain.settings import Limits
from batcher.domain.states import RefusalCause
from batcher.policy.rate.concurrency import LATER_S, LATEST_S, Ceiling, ceiling_after
from batcher.ports import Reservation
from tests.unit.budget.runs import LANE, charge, finish, now, opened, refuse


async def send_rows(budgets: LaneBudgets, rows: int, *, most: int, seconds: float, wait_s: float) -> int:
    """How many were refused on the way: more than `most` at once are, with a wait."""
    in_flight = refused = answered = 0

    async def exchange(place: Reservation) -> None:
        nonlocal in_flight, refused, answered
        if in_flight >= most:
            refused += 1
            await asyncio.sleep(0.002)
            refuse(budgets, place, wait_s=wait_s, jitter=0.5, cause=RefusalCause.IN_FLIGHT)
            return
        in_flight += 1
        await asyncio.sleep(seconds)
        in_flight -= 1
        answered += 1
        finish(budgets, place)

    async with asyncio.TaskGroup() as group:
        while answered < rows:
            place = await budgets.reserve(LANE, charge())
            group.create_task(exchange(place))
    return refused


@pytest.mark.parametrize("limits", [Limits(), Limits(rpm=6_000)])
@pytest.mark.parametrize(
    ("most", "rows", "seconds", "wait_s", "most_s", "most_refused"),
    [
        # LiteLLM's max_parallel_requests: once a minute two or three were sent, and one was answered.
        (1, 12, 3.0, 60.0, 105.0, 8),
        (1, 200, 3.0, 60.0, 1_000.0, 14),
        (4, 200, 3.0, 60.0, 400.0, 14),
    ],
)
async def test_what_was_accepted_is_kept(limits, most, rows, seconds, wait_s, most_s, most_refused):
    budgets = opened(limits)
    await asyncio.sleep(1)
    refused = await send_rows(budgets, rows, most=most, seconds=seconds, wait_s=wait_s)
    assert now() <= most_s
    assert refused <= most_refused


def test_the_hold_doubles_with_each_trial_in_vain_and_a_burst_counts_once():
    first = ceiling_after(None, 3, 100.0, again=True)
    assert first == Ceiling(3, 100.0 + LATER_S, LATER_S)
    assert ceiling_after(first, 1, 101.0, again=False) == Ceiling(1, first.until, LATER_S)
    second = ceiling_after(first, 3, 200.0, again=True)
    assert second == Ceiling(3, 200.0 + 2 * LATER_S, 2 * LATER_S)
    for at in (400.0, 800.0, 1_600.0):
        second = ceiling_after(second, 3, at, again=True)
    assert second.held_s == LATEST_S
    assert ceiling_after(second, 5, 10_000.0, again=True) == Ceiling(5, 10_000.0 + LATER_S, LATER_S)
