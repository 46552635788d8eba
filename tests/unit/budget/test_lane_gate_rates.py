import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.domain.settings import Limits
from batcher.policy.rate.token_bucket import requests_pace, tokens_pace
from tests.support.virtual_time import run_virtual
from tests.unit.budget.runs import LANE, Judge, charge, finish, is_held, now, opened, work

MIXED = random.Random(7).choices([900, 1400, 2000], k=1500)
#: A fifth of them larger than the bucket of 2,500 tokens, none larger than what the provider saves up.
LONG = random.Random(8).choices([300, 900, 1400, 3200, 4700], k=1000)

JOBS = {
    "600 RPM": (Limits(rpm=600), [0] * 3000),
    "1200 RPM": (Limits(rpm=1200), [0] * 6000),
    "6000 RPM": (Limits(rpm=6000), [0] * 6000),
    "130 RPM": (Limits(rpm=130), [0] * 500),
    "90 RPM": (Limits(rpm=90), [0] * 300),
    "60 RPM": (Limits(rpm=60), [0] * 300),
    "1 RPM": (Limits(rpm=1), [0] * 30),
    "0.5 RPM": (Limits(rpm=0.5), [0] * 30),
    "300k TPM": (Limits(tpm=300_000), MIXED),
    "300k TPM, long": (Limits(tpm=300_000), LONG),
    "100 TPM": (Limits(tpm=100), [1, 1, 1] * 30),
    "600 RPM and 300k TPM": (Limits(rpm=600, tpm=300_000), [100, 900, 300, 700] * 300),
}


def ideal_s(limits, sizes):
    by_requests = len(sizes) * 60 / limits.rpm if limits.rpm else 0.0
    by_tokens = sum(sizes) * 60 / limits.tpm if limits.tpm else 0.0
    return max(by_requests, by_tokens)


def burst_s(limits):
    """The drained start: a bucketful must first have come in."""
    return max(0.5, 60 / limits.rpm if limits.rpm else 0.0, 60 / limits.tpm if limits.tpm else 0.0)


@pytest.mark.parametrize("job", JOBS)
async def test_a_strict_provider_refuses_nothing_and_the_limit_is_used_up(job):
    limits, sizes = JOBS[job]
    run = await work(opened(limits), sizes, judge=Judge(limits))
    assert run.refused == 0
    assert run.sent[-1][0] <= 1.01 * ideal_s(limits, sizes) + burst_s(limits)


@pytest.mark.parametrize("job", ["1200 RPM", "300k TPM"])
async def test_stalls_of_the_loop_shorter_than_the_burst_lose_nothing(job):
    limits, sizes = JOBS[job]
    run = await work(opened(limits), sizes, judge=Judge(limits), stall=(40, 0.2))
    assert run.refused == 0
    assert run.sent[-1][0] <= 1.01 * ideal_s(limits, sizes) + burst_s(limits)


@pytest.mark.parametrize(("rpm", "days"), [(30, 1), (600, 1 / 24)])
async def test_pacing_does_not_drift(rpm, days):
    count = round(rpm * 1440 * days)
    run = await work(opened(Limits(rpm=rpm)), [0] * count, judge=Judge(Limits(rpm=rpm)))
    assert run.refused == 0
    assert run.sent[-1][0] == pytest.approx(count / requests_pace(rpm).rate, rel=1e-4)


async def test_a_lane_starts_drained():
    run = await work(opened(Limits(rpm=1200)), [0] * 3)
    assert run.times == pytest.approx([1 / 19.9, 2 / 19.9, 3 / 19.9], abs=1e-3)


async def test_after_a_silence_half_a_second_of_budget_goes_at_once():
    budgets = opened(Limits(rpm=1200))
    await asyncio.sleep(3600)
    run = await work(budgets, [0] * 12, latency=0.01)
    at_once = [at for at in run.times if at < 3600.001]
    assert len(at_once) == 8  # the first level; the burst would allow 9.95
    assert run.times[8:] == pytest.approx([3600.01, 3600.01 + 0.0, 3600.053, 3600.103], abs=0.1)


async def test_requests_of_one_bucket_keep_a_little_more_than_their_interval():
    run = await work(opened(Limits(rpm=60)), [0] * 50, stall=(7, 1.3))
    assert min(later - earlier for earlier, later in pairwise(run.times)) >= 1.010 - 1e-6


async def test_a_request_larger_than_the_bucket_goes_after_a_bucketful_and_its_rest_is_paid_before_the_next():
    budgets, rate = opened(Limits(tpm=60_000)), tokens_pace(60_000).rate
    run = await work(budgets, [50_000, 1, 50_000, 1])
    # The start is one drained bucket; each large one waits for a full bucket.
    assert run.times[0] == pytest.approx(0.5, abs=0.01)
    assert run.times[1] == pytest.approx(50_001 / rate, abs=0.01)
    assert run.times[2] == pytest.approx(50_001 / rate + 0.5, abs=0.01)
    assert run.times[3] == pytest.approx(100_002 / rate, abs=0.01)


async def test_debt_is_paid_by_time_also_while_nobody_waits():
    budgets, rate = opened(Limits(tpm=60_000)), tokens_pace(60_000).rate
    await work(budgets, [50_000])
    await asyncio.sleep(50_000 / rate)
    assert not await is_held(budgets, tokens=400)


async def test_large_requests_starve_nobody_and_are_not_starved():
    limits = Limits(rpm=600, tpm=60_000)
    sizes = [10, 40_000, 10, 10, 5_000] * 20
    run = await work(opened(limits), sizes)
    assert [size for _, size in run.sent] == sizes
    assert run.sent[-1][0] <= 1.01 * ideal_s(limits, sizes) + 20


async def test_several_waiting_tasks_are_admitted_in_the_order_in_which_they_came():
    budgets, order = opened(Limits(rpm=120, tpm=60_000)), []

    async def enter(number, tokens):
        await budgets.reserve(LANE, charge(tokens))
        order.append(number)

    sizes = [900, 1, 400, 2000, 1, 1, 30, 4]
    async with asyncio.TaskGroup() as group:
        for number, tokens in enumerate(sizes):
            group.create_task(enter(number, tokens))
    assert order == list(range(len(sizes)))


JOB = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 0.01, 0.4, 3.0]),
        st.integers(0, 6000),
        st.sampled_from(["send", "send", "cancel", "give up"]),
    ),
    min_size=1,
    max_size=60,
)


@given(
    rpm=st.none() | st.floats(1, 6000),
    tpm=st.none() | st.floats(10_000, 1_000_000),
    latency=st.floats(0.01, 5),
    job=JOB,
)
@settings(max_examples=150, deadline=None)
def test_no_window_holds_more_than_the_limit_and_a_burst(rpm, tpm, latency, job):
    limits = Limits(rpm=rpm, tpm=tpm)

    async def main():
        budgets, sent = opened(limits), []

        async def exchange(place):
            await asyncio.sleep(latency)
            finish(budgets, place)

        async with asyncio.TaskGroup() as group:
            for pause, tokens, fate in job:
                await asyncio.sleep(pause)
                if fate == "give up" and await is_held(budgets, tokens=tokens, seconds=0.02):
                    continue
                place = await budgets.reserve(LANE, charge(tokens))
                if fate == "cancel":
                    budgets.cancel(place)
                    continue
                sent.append((now(), tokens))
                group.create_task(exchange(place))
        return sent

    sent = run_virtual(main())
    if rpm is not None:
        assert_within([(at, 1.0) for at, _ in sent], requests_pace(rpm).rate, requests_pace(rpm).bucket)
        assert requests_pace(rpm).rate <= rpm / 60
    if tpm is not None:
        assert_within(sent, tokens_pace(tpm).rate, tokens_pace(tpm).bucket)
        assert tokens_pace(tpm).rate <= tpm / 60


def assert_within(sent, rate, bucket):
    """Of every window: what went in it, without what its last request owes to the time after, fits."""
    for first in range(len(sent)):
        total = 0.0
        for at, amount in sent[first:]:
            allowed = rate * (at - sent[first][0]) + bucket
            assert total + min(amount, bucket) <= allowed * (1 + 1e-6) + 1e-6
            total += amount


async def test_nothing_limits_a_lane_without_limits_but_its_level():
    run = await work(opened(), [10_000] * 500, latency=1.0)
    assert run.sent[7][0] == 0
    assert run.sent[-1][0] < 15
