import asyncio

import pytest

from batcher.budget.limiter import RateLimiter
from batcher.policy.rate.token_bucket import SHORTEST_WAIT_S, tokens_pace
from tests.unit.budget.runs import now

PACE = tokens_pace(60_000)


async def wait_until_taken(dimension, amount):
    looks = 0
    while (seconds := dimension.ask(amount, now())) > 0:
        await asyncio.sleep(seconds)
        looks += 1
    return looks


@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.03, 0.4])
async def test_a_full_bucket_is_had_also_where_the_limiter_looks_later_at_the_clock_than_we(late_s):
    dimension = RateLimiter(PACE, now=now())
    await asyncio.sleep(10)
    dimension.ask(PACE.bucket / 2, now() - late_s)
    dimension.spend(PACE.bucket / 2, now())
    looks = await wait_until_taken(dimension, 10 * PACE.bucket)
    assert now() <= 10 + 0.5 + late_s + 0.01
    assert looks <= 12 + late_s / SHORTEST_WAIT_S


async def test_a_wait_is_looked_at_few_times():
    dimension = RateLimiter(PACE, now=now())
    looks = await wait_until_taken(dimension, 1)
    assert looks <= 3
    dimension.spend(20 * PACE.bucket, now())
    assert await wait_until_taken(dimension, PACE.bucket) <= 2 * 20 + 4


async def test_what_is_set_aside_goes_stale_as_the_bucket_would_have():
    dimension = RateLimiter(PACE, now=now())
    await asyncio.sleep(10)
    assert dimension.ask(PACE.bucket, now()) == 0
    await asyncio.sleep(10)
    gone = 0.0
    while dimension.ask(PACE.bucket / 10, now()) == 0:
        dimension.spend(PACE.bucket / 10, now())
        gone += PACE.bucket / 10
    assert gone == pytest.approx(PACE.bucket)
