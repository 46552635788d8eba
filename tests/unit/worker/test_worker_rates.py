"""At the limit and never over it; refusals cool the lane down and cost no attempt."""

import asyncio

import pytest
from msgspec.structs import replace

from batcher.domain.lanes import DayUse, HourUse, LaneKey, LaneMemory
from batcher.domain.settings import Limits
from batcher.policy.rate.daily_quota import HOUR_US
from batcher.simulate import SimulatedProvider
from batcher.store.queue import lanes
from tests.support.providers import FakeProvider, chat, chats, most_in_a_window
from tests.support.workers import Rig, now


def strict(**limits: object) -> FakeProvider:
    """A provider that saves up one second of budget."""
    return FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.3, headers=False, **limits))  # type: ignore[arg-type]  # settings by name


async def test_a_request_limit_is_used_whole_and_never_passed(rig: Rig):
    rig.provider = strict(rpm=600.0)
    await rig.run(rig.submit(chats(600), limits=Limits(rpm=600.0)))
    times = [seen.at for seen in rig.provider.journal]
    assert rig.states() == {"completed": 600}
    assert rig.provider.refused == []
    assert max(times) <= 60.0 * 1.05
    assert most_in_a_window(times, 60.0) <= 600 + 5
    assert most_in_a_window(times, 1.0) <= 10 + 5


async def test_a_token_limit_is_used_whole_and_never_passed(rig: Rig):
    rig.provider = strict(tpm=60_000.0)
    bodies = [chat(f"row {number} " + "word " * 60, max_tokens=100) for number in range(300)]
    job = rig.submit(bodies, limits=Limits(tpm=60_000.0))
    tokens = sum(row["est_input"] + row["est_output"] for row in rig.rows())
    await rig.run(job)
    assert rig.states() == {"completed": 300}
    assert rig.provider.refused == []
    assert max(seen.at for seen in rig.provider.journal) <= tokens / 1000.0 * 1.05


async def test_two_lanes_do_not_delay_each_other(rig: Rig):
    limits = {"fast": Limits(rpm=600.0), "slow": Limits(rpm=60.0)}
    rig.provider = strict(model_limits=limits)
    bodies = [*chats(60, model="slow"), *chats(300, model="fast")]
    await rig.run(rig.submit(bodies, model_limits=limits))
    ended = {name: max(seen.at for seen in rig.provider.journal if seen.model == name) for name in limits}
    assert rig.provider.refused == []
    assert ended["fast"] <= 30.0 * 1.05
    assert ended["slow"] <= 60.0 * 1.05


async def test_a_provider_whose_limits_nobody_told_is_learnt_from_its_headers(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.2, latency_sigma=0.0, rpm=1200.0, burst=1.0))
    await rig.run(rig.submit(chats(400)))
    assert rig.states() == {"completed": 400}
    assert now() <= 20.0 * 1.3
    assert len(rig.provider.refused) <= 2


async def test_nobody_on_a_lane_goes_before_the_time_a_refusal_named(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.4))
    bodies = chats(80)
    bodies[20] = chat("row 20", simulate={"refuse_times": 1, "retry_after": 2})
    job = rig.submit(bodies)
    await rig.run(job)
    (refused,) = rig.provider.refused
    assert refused.ended is not None
    told = refused.ended + 2.0
    assert [seen.at for seen in rig.provider.journal if refused.ended < seen.at < told] == []
    assert any(seen.at >= told for seen in rig.provider.journal)
    assert rig.states() == {"completed": 80}
    assert {row["spent"] for row in rig.rows()} == {0}
    assert [row["kind"] for row in rig.attempts()].count("rate_limited") == 1


async def test_a_refusal_of_one_lane_does_not_hold_up_another(rig: Rig):
    bodies = [chat("first", model="a", simulate={"refuse_times": 1, "retry_after": 60}), *chats(30, model="b")]
    await rig.run(rig.submit(bodies))
    assert max(seen.at for seen in rig.provider.journal if seen.model == "b") < 10.0
    first, second = rig.provider.times("first")
    assert second >= first + 60.0


async def test_a_cool_down_outlives_the_runner_that_met_it(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.1, latency_sigma=0.0))
    job = rig.submit([chat("first", simulate={"refuse_times": 1, "retry_after": 30})])
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    while not rig.provider.refused:
        await asyncio.sleep(0.01)
    worker.stop()
    await running
    assert now() < 2.0
    await rig.run(job)
    first, second = rig.provider.times("first")
    assert second >= first + 30.0


async def test_a_row_that_is_refused_alone_dies_after_five_refusals_while_others_are_answered(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.2, latency_sigma=0.2))
    job = rig.submit([chat("never", simulate={"refuse_times": 10_000, "retry_after": 1}), *chats(500)])
    await rig.run(job, concurrency=8)
    never = rig.rows()[0]
    assert (never["state"], never["failure_code"], never["spent"]) == ("dead_lettered", "refused_too_often", 0)
    assert len(rig.provider.of("never")) == 5
    assert rig.states() == {"completed": 500, "dead_lettered": 1}


async def test_sends_that_came_back_for_other_reasons_are_no_refusals(rig: Rig):
    """A row that was sent many times in an outage, unspent, and is then refused once goes on."""
    row = chat("late", simulate={"refuse_times": 1, "retry_after": 1, "hang": 3})
    job = rig.submit([row, *chats(60)])
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET sends = 40 WHERE custom_id = 'r1'")
    await rig.run(job, concurrency=4)
    assert [seen.status for seen in rig.provider.of("late")] == [429, 200]
    assert rig.states() == {"completed": 61}


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_no_more_than_the_concurrency_is_ever_in_flight(rig: Rig, concurrency: int):
    await rig.run(rig.submit([*chats(30, model="a"), *chats(30, model="b")]), concurrency=concurrency)
    assert rig.provider.most_in_flight == concurrency
    assert rig.states() == {"completed": 60}


async def test_a_new_lane_begins_with_eight_until_the_first_success(rig: Rig):
    await rig.run(rig.submit(chats(100)))
    first_answer = min(seen.ended or 0.0 for seen in rig.provider.answered)
    assert len([seen for seen in rig.provider.journal if seen.at < first_answer]) == 8


async def test_a_limit_a_day_is_kept_over_a_restart_and_the_rest_goes_when_the_day_is_over(rig: Rig):
    job = rig.submit(chats(60), limits=Limits(rpd=50))
    key = LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model="m")
    hour = rig.clock.now() // HOUR_US
    with rig.database.write() as connection:
        lane = lanes.open_lane(connection, key, now=0)
        yesterday = LaneMemory(day=DayUse(hours=(HourUse(hour - 24, 30, 0),)))
        lanes.save(connection, replace(lane, memory=yesterday), now=0)
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(60.0)
    [view] = worker.lanes([job.id])
    assert (view.binding, view.in_flight) == ("day", 0)
    assert view.cooling_until == (hour + 1) * HOUR_US
    worker.stop()
    await running
    assert rig.states() == {"completed": 20, "pending": 40}
    rig.resume(job)
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(3_600.0)
    worker.stop()
    await running
    times = sorted(seen.at for seen in rig.provider.journal)
    assert rig.states() == {"completed": 50, "pending": 10}
    assert times[19] < 60.0
    assert 3_600.0 <= times[20] <= 3_601.0
