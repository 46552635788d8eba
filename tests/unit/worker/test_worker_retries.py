"""A row that fails backs off, alone; what it has spent outlives the runner."""

import asyncio
from itertools import pairwise

import pytest

from batcher.domain.states import FaultKind, PauseReason
from batcher.simulate import SimulatedProvider
from batcher.worker.worker import End
from tests.support.providers import Arrived, FakeProvider, chat, chats
from tests.support.virtual_time import EPOCH_US
from tests.support.workers import Rig, now

LATENCY = 0.5


def gaps(rig: Rig, text: str) -> list[float]:
    """Seconds from the end of each sending of the row to the next."""
    return [later.at - (before.ended or 0.0) for before, later in pairwise(rig.provider.of(text))]


@pytest.mark.parametrize("jitter", [0.0, 0.99])
async def test_two_failures_are_followed_by_waits_that_double_and_an_answer(rig: Rig, jitter: float):
    rig.jitter = jitter
    job = rig.submit([chat("flaky", simulate={"fail_times": 2, "status": 500}), *chats(20)])
    await rig.run(job)
    first, second = gaps(rig, "flaky")
    assert 1.0 <= first <= 1.6
    assert 2.0 <= second <= 3.1
    row = rig.rows()[0]
    assert (row["state"], row["spent"], row["sends"]) == ("completed", 2, 3)
    assert rig.states() == {"completed": 21}


async def test_a_row_that_backs_off_holds_up_no_other(rig: Rig):
    await rig.run(rig.submit([chat("flaky", simulate={"fail_times": 5}), *chats(20)]))
    assert max(seen.at for seen in rig.provider.journal if seen.text != "flaky") < 4.0
    assert max(rig.provider.times("flaky")) > 31.0


@pytest.mark.parametrize("most", [1, 3, 6])
async def test_after_its_attempts_a_row_is_a_dead_letter(rig: Rig, most: int):
    job = rig.submit([chat("broken", simulate={"status": 500}), *chats(10)], max_attempts=most)
    await rig.run(job)
    assert len(rig.provider.of("broken")) == most
    row = rig.rows()[0]
    assert (row["state"], row["failure_kind"], row["failure_code"]) == (
        "dead_lettered",
        "transient",
        "server_error",
    )
    assert [attempt["send"] for attempt in rig.attempts() if attempt["request_id"] == row["id"]] == list(
        range(1, most + 1)
    )


async def test_a_restart_keeps_what_was_spent_and_when_the_row_is_due(rig: Rig):
    job = rig.submit([chat("broken", simulate={"status": 500})], max_attempts=4)
    worker = rig.worker()
    rig.provider.script = stop_after(3, worker.stop)
    await worker.run([job.id])
    row = rig.rows()[0]
    third = rig.provider.of("broken")[2]
    assert (row["state"], row["spent"]) == ("pending", 2)
    rig.provider.script = lambda _: None
    assert await rig.run(job) is End.OVER
    row = rig.rows()[0]
    assert row["state"] == "dead_lettered"
    # Two were spent before; the one that was stopped in flight spent nothing.
    assert len(rig.provider.of("broken")) == 5
    assert rig.provider.of("broken")[3].at >= (third.ended or 0.0)


async def test_a_row_that_waits_for_its_time_waits_also_in_the_next_run(rig: Rig):
    job = rig.submit([chat("flaky", simulate={"fail_times": 4})])
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    while len(rig.attempts()) < 4:
        await asyncio.sleep(0.1)
    worker.stop()
    await running
    row, stopped = rig.rows()[0], now()
    assert (row["state"], row["spent"]) == ("pending", 4)
    due = (row["available_at"] - EPOCH_US) / 1e6
    assert stopped + 7.0 <= due <= stopped + 8.1
    await rig.run(job)
    assert rig.provider.times("flaky")[4] >= due
    assert rig.rows()[0]["spent"] == 4


def stop_after(count: int, stop):
    """Calls `stop` as the sending of that number goes out."""
    seen = []

    def script(arrived: Arrived) -> None:
        seen.append(arrived)
        if len(seen) == count:
            stop()

    return script


async def test_a_timeout_is_tried_once_more_and_then_a_dead_letter(rig: Rig):
    rig.provider.timeout = 20.0
    job = rig.submit([chat("slow", simulate={"hang": 60}), chat("slow once", simulate={"hang": 5}), *chats(10)])
    await rig.run(job)
    assert len(rig.provider.of("slow")) == 2
    row = rig.rows()[0]
    assert (row["state"], row["failure_code"], row["timeouts"]) == ("dead_lettered", "timeout", 1)
    assert rig.states() == {"completed": 11, "dead_lettered": 1}


async def test_timeouts_of_every_row_bill_each_row_at_most_twice(rig: Rig):
    rig.provider.timeout = 10.0
    job = rig.submit([chat(f"slow {number}", simulate={"hang": 60}) for number in range(20)], max_wait=1200.0)
    await rig.run(job)
    assert max(rig.provider.counts().values()) <= 2
    assert rig.states()["completed"] == 0


async def test_a_bad_request_is_a_dead_letter_at_once(rig: Rig):
    job = rig.submit(
        [chat("bad", simulate={"status": 400}), chat("long", simulate={"code": "context_length_exceeded"})]
    )
    await rig.run(job)
    assert rig.provider.counts() == {"bad": 1, "long": 1}
    assert [row["failure_code"] for row in rig.rows()] == ["invalid_request_error", "context_length_exceeded"]
    assert rig.pauses() == []


async def test_a_path_that_is_not_implemented_does_not_look_like_an_outage(rig: Rig):
    job = rig.submit([chat(f"row {number}", simulate={"status": 501}) for number in range(40)])
    await rig.run(job)
    assert rig.states() == {"pending": 40}
    assert now() < 30.0
    assert [pause.reason for pause in rig.pauses()] == [PauseReason.SAME_FAILURE]


async def test_an_own_fault_spends_nothing_and_stops_nothing(rig: Rig):
    """No file descriptors left: the row comes back for as long as it takes."""
    tries = []

    def script(seen: Arrived) -> FaultKind | None:
        tries.append(seen.at)
        return FaultKind.LOCAL if len(tries) <= 30 else None

    rig.provider.script = script
    job = rig.submit(chats(5), max_attempts=2)
    await rig.run(job)
    assert rig.states() == {"completed": 5}
    assert {row["spent"] for row in rig.rows()} == {0}
    assert rig.pauses() == []


async def test_a_broken_connection_spends_an_attempt(rig: Rig):
    job = rig.submit([chat("cut", simulate={"reset": True, "fail_times": 1}), *chats(3)])
    await rig.run(job)
    assert [row["spent"] for row in rig.rows()] == [1, 0, 0, 0]
    assert rig.states() == {"completed": 4}


async def test_the_time_a_failure_named_is_kept(rig: Rig):
    job = rig.submit([chat("later", simulate={"fail_times": 1, "status": 500, "retry_after": 25})])
    await rig.run(job)
    (gap,) = gaps(rig, "later")
    assert gap >= 25.0
    assert rig.rows()[0]["spent"] == 1


async def test_random_failures_of_a_tenth_end_in_answers(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=LATENCY, fail=0.1, seed=11))
    job = rig.submit(chats(300))
    await rig.run(job)
    assert rig.states() == {"completed": 300}
    assert now() < 60.0
