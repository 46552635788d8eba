"""What a run learns about a lane the next one knows; what can never fit costs the others nothing."""

import asyncio

from batcher.domain.lanes import LaneKey
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule
from batcher.simulate import SimulatedProvider
from batcher.store.queue import lanes
from tests.support.providers import FakeProvider, chat, chats, most_in_a_window
from tests.support.workers import Rig, now


async def test_limits_rule_and_sizes_are_kept_in_the_store(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, tpm=60_000.0, charge=ChargeRule.PRODUCED))
    bodies = [chat(f"row {number} " + "word " * 200, max_tokens=400) for number in range(120)]
    job = rig.submit(bodies)
    await rig.run(job)
    with rig.database.write() as connection:
        lane = lanes.open_lane(
            connection, LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model="m"), now=0
        )
    assert lane.memory.limits.tpm == 60_000.0
    assert lane.memory.charging.rule is ChargeRule.PRODUCED
    assert lane.memory.charging.output is not None
    assert lane.memory.charging.input_ratio < 1.0


async def test_a_runner_that_is_stopped_five_times_in_a_minute_draws_no_second_budget(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, rpm=600.0))
    job = rig.submit(chats(600))
    for _ in range(5):
        worker = rig.worker()
        running = asyncio.create_task(worker.run([job.id]))
        await asyncio.sleep(10.0)
        worker.stop()
        await running
    await rig.run(job)
    times = [seen.at for seen in rig.provider.journal]
    assert rig.states() == {"completed": 600}
    assert rig.provider.refused == []
    assert most_in_a_window(times, 60.0) <= 600
    assert most_in_a_window(times, 1.0) <= 10 + 5


async def test_a_request_that_can_never_fit_dies_and_its_tokens_are_not_owed(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.2, tpm=60_000.0))
    bodies = [chat("never", max_tokens=600_000), *chats(50)]
    await rig.run(rig.submit(bodies, limits=Limits(tpm=60_000.0)))
    assert rig.rows()[0]["failure_code"] == "request_too_large"
    assert rig.states() == {"completed": 50, "dead_lettered": 1}
    assert now() < 60.0


async def test_what_can_never_fit_dies_unsent_once_the_rule_is_known_and_says_by_which_figures(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.2, tpm=60_000.0, charge=ChargeRule.MAX))
    small = [chat(f"row {number}", max_tokens=600) for number in range(150)]
    job = rig.submit([*small, chat("never", max_tokens=60_001), *small[:1]], limits=Limits(tpm=60_000.0))
    await rig.run(job)
    row = rig.rows()[150]
    assert (row["state"], row["failure_kind"], row["failure_code"]) == ("dead_lettered", "permanent", "never_fits")
    assert rig.states() == {"completed": 151, "dead_lettered": 1}
    [attempt] = [each for each in rig.attempts() if each["code"] == "never_fits"]
    assert attempt["sent_at"] is None
    assert "60,001 tokens" in attempt["message"]
    assert "60,000 tokens a minute" in attempt["message"]
    assert rig.provider.counts()["never"] == 0
