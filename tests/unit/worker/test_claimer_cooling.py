"""A lane that cannot send holds nothing that others need: neither bytes of bodies, nor the turn of a suspect."""

import asyncio
from typing import Any

import pytest

from batcher.domain.jobs import Job
from batcher.domain.settings import Limits
from batcher.domain.states import FaultKind
from batcher.simulate import SimulatedProvider
from batcher.worker import claimer
from batcher.worker.worker import End, Worker
from tests.support.providers import QUICK, FakeProvider, Outage, chat, chats
from tests.support.workers import Rig, now, until

BOUND = 20_000
LONG = "x" * 2_000


def suspected(rig: Rig, job: Job) -> None:
    """Three holders died with each of the job's rows."""
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE job_id = ?", (job.id,))


def held_by(worker: Worker, model: str) -> int:
    return next(lane.held_bytes for lane in worker.state.lanes.values() if lane.key.model == model)


async def answered_by(rig: Rig, job: Job, seconds: float) -> None:
    """Wait until every row of the job is answered; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while set(rig.states(job)) != {"completed"}:
            await asyncio.sleep(0.1)


def refused(text: str, retry_after: float, **more: Any) -> dict[str, Any]:
    return chat(text, simulate={"refuse_times": 1, "retry_after": retry_after}, **more)


# --- bytes ---


async def test_a_lane_that_cools_down_for_long_gives_its_bodies_back(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(claimer, "MOST_BYTES", BOUND)
    cool = [refused(f"cool {n} {LONG}", 3600.0, model="A") for n in range(40)]
    job, other = rig.submit(cool), rig.submit(chats(400, model="B"), name="other")
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id, other.id]))
    await answered_by(rig, other, 60.0)
    await until(60.0)
    assert (rig.states(job), held_by(worker, "A")) == ({"pending": 40}, 0)
    before = rig.queue.claims
    await asyncio.sleep(60.0)
    assert rig.queue.claims - before <= 61
    assert rig.states(job) == {"pending": 40}
    worker.stop()
    await running


async def test_it_claims_again_shortly_before_the_cool_down_ends_and_in_file_order(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0))
    job = rig.submit([refused("row 0", 300.0), *chats(60, start=1)])
    running = asyncio.create_task(rig.run(job))
    await until(10.0)
    waiting = rig.states()
    assert set(waiting) == {"completed", "pending"}
    await until(297.0)
    assert rig.states() == waiting
    await until(300.0)
    assert rig.states()["claimed"] > 0
    assert await running is End.OVER
    again = [seen for seen in rig.provider.journal if seen.at > 10.0]
    assert 300.0 <= again[0].at <= 301.0
    assert [seen.text for seen in again] == sorted((seen.text for seen in again), key=lambda text: int(text[4:]))
    assert again[0].text == "row 0"


async def test_rows_whose_answer_is_known_do_not_wait_for_the_cool_down(rig: Rig):
    await rig.run(rig.submit(chats(100), name="earlier"))
    cool = rig.submit([refused("cool", 3600.0)], name="cool")
    running = asyncio.create_task(rig.run(cool))
    await until(30.0)
    assert rig.states(cool) == {"pending": 1}
    await answered_by(rig, rig.submit(chats(100), name="known"), 10.0)
    sent = len(rig.provider.journal)
    assert await running is End.OVER
    assert (rig.states(), len(rig.provider.journal)) == ({"completed": 201}, sent + 1)


async def test_a_short_cool_down_keeps_what_was_claimed(rig: Rig):
    job = rig.submit([refused("row 0", 3.0), *chats(60, start=1)])
    running = asyncio.create_task(rig.run(job))
    await until(2.0)
    assert rig.states()["claimed"] > 0
    await running
    assert rig.states() == {"completed": 61}


async def test_bodies_in_flight_of_one_lane_leave_room_for_the_others(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(claimer, "MOST_BYTES", BOUND)
    slow = [chat(f"slow {n} {LONG}", model="A", simulate={"hang": 500}) for n in range(40)]
    job = rig.submit(slow)
    worker = rig.worker(concurrency=64)
    running = asyncio.create_task(worker.run([job.id]))
    await until(20.0)
    alone = held_by(worker, "A")
    # One lane alone may use four fifths, and one body on top.
    assert 0.6 * BOUND <= alone <= 0.8 * BOUND + len(slow[0]["messages"][0]["content"]) + 200
    other = rig.submit(chats(200, model="B"), name="other")
    await answered_by(rig, other, 60.0)
    assert held_by(worker, "A") == alone
    assert worker.state.held_bytes == alone
    worker.stop()
    await running


# --- the turn of a suspect ---


async def test_a_suspect_whose_lane_cools_down_keeps_nobody_waiting(rig: Rig):
    first = rig.submit([refused(f"suspect {n}", 600.0, model="A") for n in range(2)], name="first")
    suspected(rig, first)
    running = asyncio.create_task(rig.run(first))
    await until(20.0)
    other = rig.submit(chats(300, model="B"), name="other")
    await answered_by(rig, other, 60.0)
    assert rig.states(first) == {"pending": 2}
    assert await running is End.OVER
    assert rig.states(first) == {"completed": 2}
    # Each is refused once, and sent again soon after the cool-down.
    assert [round(seen.at / 600.0) for seen in rig.provider.journal if seen.model == "A"] == [0, 1, 1, 2]


async def test_a_suspect_whose_lane_is_held_after_its_claim_is_given_back(rig: Rig):
    used_up = rig.submit([*chats(2, model="A")], name="used up", limits=Limits(rpd=1))
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE custom_id = 'r2'")
    worker = rig.worker()
    running = asyncio.create_task(worker.run([used_up.id]))
    await until(20.0)
    other = rig.submit(chats(100, model="B", start=100), name="other")
    await answered_by(rig, other, 30.0)
    _, suspect = rig.rows(used_up)
    assert (suspect["state"], suspect["sends"], worker.state.alone) == ("pending", 0, None)
    worker.stop()
    await running


async def test_a_suspect_whose_endpoint_is_in_an_outage_keeps_nobody_waiting(rig: Rig):
    down = FakeProvider(QUICK, script=Outage(0.3, 500.0, kind=FaultKind.REFUSED))

    async def sender(job: Job) -> FakeProvider:
        return down if job.settings.base_url.endswith("/down") else rig.provider

    rig.senders = sender
    # Nothing else of its endpoint is left once the outage begins, so it is the suspect that probes it.
    first = rig.submit(chats(2), name="first", base_url="http://127.0.0.1:9000/down")
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE custom_id = 'r2'")
    running = asyncio.create_task(rig.run(first))
    taken = []
    for number in range(8):
        await until(200.0 + 17.0 * number)
        began = now()
        await answered_by(rig, rig.submit(chats(3, start=100 * number), name=f"other {number}"), 60.0)
        taken.append(now() - began)
    assert max(taken) < 5.0
    assert await running is End.OVER
    assert rig.states() == {"completed": 26}
    assert now() < 600.0


@pytest.mark.parametrize("left", [True, False])
async def test_a_paused_job_ends_its_run_unless_a_suspect_waits_for_a_cool_down(rig: Rig, left: bool):
    rig.provider = FakeProvider(SimulatedProvider(models=("known",), latency=0.5))
    known = [chat("row", model="known"), refused("suspect", 600.0, model="known")][: 1 + left]
    job = rig.submit([*known, *chats(3, model="unknown", start=10)])
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE custom_id = 'r2'")
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 1 + left, "pending": 3}
    assert (now() > 600.0) is left
