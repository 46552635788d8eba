"""What is held in hand is bounded, whatever is slow; and what waits costs nothing."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from batcher.domain.errors import StoreError
from batcher.domain.requests import RouteDemand
from batcher.domain.settlements import Settlement
from batcher.policy.rate.reply_room import ReplyRoom
from batcher.simulate import SimulatedProvider
from batcher.store.queue.adapter import SqlQueue
from batcher.worker import claimer, commit_broker
from batcher.worker.commit_broker import CommitBroker
from batcher.worker.worker import End
from tests.support.providers import FakeProvider, chat, chats
from tests.support.scripted import OK, error, use
from tests.support.workers import BesideWriter, Rig, SlowWriter, now


class Watch:
    """Looks at a worker all the time."""

    def __init__(self, rig: Rig, worker: Any) -> None:
        self._rig, self._worker = rig, worker
        self.most_waiting = self.most_unsettled = self.most_bytes = self.most_reply_bytes = 0
        worker.run, self._run = self._watched, worker.run

    async def _watched(self, *arguments: Any, **named: Any) -> End:
        looking = asyncio.create_task(self._look())
        try:
            result: End = await self._run(*arguments, **named)
            return result
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.001)
            self._note()

    def _note(self) -> None:
        mine: CommitBroker = self._worker._broker
        state = self._worker.state
        held = sum(job.held for job in state.jobs.values())
        ready = sum(len(lane.ready) for lane in state.lanes.values())
        self.most_waiting = max(self.most_waiting, len(mine._waiting))
        self.most_unsettled = max(self.most_unsettled, held - ready)
        self.most_bytes = max(self.most_bytes, state.held_bytes)
        self.most_reply_bytes = max(self.most_reply_bytes, mine._replies.held)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("concurrency", [1, 2, 8])
async def test_replies_that_wait_for_their_commit_never_exceed_the_concurrency(
    rig: Rig, concurrency: int, lanes: int
):
    """And all that is sent and not on disk is at most twice the concurrency."""
    rig.provider = FakeProvider(SimulatedProvider(latency=0.05, latency_sigma=0.6, seed=concurrency))
    job = rig.submit([chat(f"row {number}", model=f"m{number % lanes}") for number in range(60)])
    worker = rig.worker(concurrency=concurrency, writer=SlowWriter(rig.database, 0.2))
    watch = Watch(rig, worker)
    assert await worker.run([job.id]) is End.OVER
    assert rig.states() == {"completed": 60}
    assert watch.most_waiting <= concurrency
    assert watch.most_unsettled <= 2 * concurrency
    assert watch.most_unsettled > concurrency


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("concurrency", [1, 2, 8, None])
async def test_on_a_slow_disk_twice_the_concurrency_is_the_most_too(rig: Rig, concurrency: int | None, lanes: int):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.05, latency_sigma=0.6))
    job = rig.submit([chat(f"row {number}", model=f"m{number % lanes}") for number in range(300)])
    worker = rig.worker(concurrency=concurrency, writer=BesideWriter(rig.database, 0.2))
    watch = Watch(rig, worker)
    assert await worker.run([job.id]) is End.OVER
    assert rig.states() == {"completed": 300}
    assert watch.most_unsettled <= (4 * 64 if concurrency is None else 2 * concurrency)


@pytest.mark.parametrize("writer", [SlowWriter, BesideWriter])
async def test_the_bytes_of_replies_that_wait_for_their_commit_gate_what_is_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, writer: type[SlowWriter]
):
    """Whatever the concurrency; and one commit writes a bounded part of them."""
    sizes: list[int] = []
    settle = SqlQueue.settle
    monkeypatch.setattr(commit_broker, "ReplyRoom", lambda: ReplyRoom(8_000))
    monkeypatch.setattr(commit_broker, "_MOST_BYTES", 2_000)

    def watched(queue: SqlQueue, settlements: Sequence[Settlement]) -> Any:
        sizes.append(sum(map(commit_broker._size, settlements)))
        return settle(queue, settlements)

    monkeypatch.setattr(SqlQueue, "settle", watched)
    rig.provider = FakeProvider(SimulatedProvider(latency=0.05, latency_sigma=0.1))
    job = rig.submit(chats(200))
    worker = rig.worker(concurrency=64, writer=writer(rig.database, 0.2))
    watch = Watch(rig, worker)
    assert await worker.run([job.id]) is End.OVER
    assert rig.states() == {"completed": 200}
    # The first eight are sent before the size of a reply is known.
    assert 2_000 < watch.most_reply_bytes <= 12_000
    assert max(sizes) <= 2_000
    assert worker._broker._replies.held == 0


async def test_on_a_slow_disk_the_next_groups_are_given_while_others_are_flushed(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.001))
    times = {}
    for writer in (SlowWriter, BesideWriter):
        job = rig.submit([chat(f"{writer.__name__} {n}") for n in range(400)], name=writer.__name__)
        began = now()
        worker = rig.worker(concurrency=8, writer=writer(rig.database, 0.2))
        assert await worker.run([job.id]) is End.OVER
        times[writer] = now() - began
    assert times[BesideWriter] < 0.5 * times[SlowWriter]


async def test_a_disk_that_fails_while_groups_are_flushed_ends_the_run_with_what_it_said(rig: Rig):
    writer = BesideWriter(rig.database, 0.2)
    job = rig.submit(chats(100))
    worker = rig.worker(concurrency=8, writer=writer)
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(1.05)
    writer.fails = True
    with pytest.raises(ExceptionGroup) as raised:
        await running
    assert raised.group_contains(StoreError, match="disk full")
    writer.fails = False
    await rig.run(job, concurrency=8)
    assert rig.states() == {"completed": 100}


async def test_replies_are_written_in_groups(rig: Rig):
    groups: list[int] = []
    worker = rig.worker(concurrency=32, writer=SlowWriter(rig.database, 0.2))
    settle, exchange = rig.queue.settle, rig.queue.exchange

    async def counted(group: Sequence[Settlement]) -> Any:
        groups.append(len(group))
        return await settle(group)

    async def counted_too(group: Sequence[Settlement], wants: Sequence[RouteDemand], *, most_bytes: int) -> Any:
        groups.append(len(group))
        return await exchange(group, wants, most_bytes=most_bytes)

    rig.queue.settle = counted  # type: ignore[assignment, method-assign]  # counts
    rig.queue.exchange = counted_too  # type: ignore[assignment, method-assign]  # counts
    rig.provider = FakeProvider(SimulatedProvider(latency=0.1, latency_sigma=0.4))
    await worker.run([rig.submit(chats(300)).id])
    assert sum(groups) == 300
    assert max(groups) > 8


async def test_bodies_in_hand_stay_within_their_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    bound, large = 20_000, 50_000
    monkeypatch.setattr(claimer, "MOST_BYTES", bound)
    bodies = [chat(f"row {number} " + "x" * 2_000) for number in range(100)]
    bodies.insert(30, chat("large " + "y" * large))
    job = rig.submit(bodies)
    worker = rig.worker(concurrency=50)
    watch = Watch(rig, worker)
    await worker.run([job.id])
    assert rig.states() == {"completed": 101}
    # One body may come on top of the bound, also one that is larger than it.
    assert watch.most_bytes <= bound + large + 100
    assert max(len(seen.body) for seen in rig.provider.journal) > large


async def test_small_bodies_stay_within_the_bound_but_for_one(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(claimer, "MOST_BYTES", 20_000)
    job = rig.submit([chat(f"row {number} " + "x" * 2_000) for number in range(100)])
    worker = rig.worker(concurrency=50)
    watch = Watch(rig, worker)
    await worker.run([job.id])
    assert 15_000 <= watch.most_bytes <= 20_000 + 2_200
    assert rig.provider.most_in_flight <= 10


async def test_a_listener_that_can_take_no_more_stops_the_claims(rig: Rig):
    job = rig.submit(chats(500))
    running = asyncio.create_task(rig.run(job, concurrency=4))
    await asyncio.sleep(2.2)
    rig.events.gate = asyncio.Event()
    await asyncio.sleep(30.0)
    held_up = len(rig.provider.journal)
    await asyncio.sleep(60.0)
    assert len(rig.provider.journal) == held_up < 60
    rig.events.gate.set()
    await running
    assert rig.states() == {"completed": 500}


async def test_an_idle_minute_costs_a_claim_a_second_at_most(rig: Rig):
    """Everything waits for a time an hour away."""
    job = rig.submit([chat("later", simulate={"fail_times": 1, "status": 500, "retry_after": 3600}), *chats(4)])
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(10.0)
    before = rig.queue.claims
    await asyncio.sleep(60.0)
    assert rig.queue.claims - before <= 61
    worker.drain(None)
    await running
    assert rig.states() == {"completed": 4, "pending": 1}


async def test_a_lane_that_cools_down_costs_no_claims(rig: Rig):
    job = rig.submit([chat("refused", simulate={"refuse_times": 1, "retry_after": 300}), *chats(100)])
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(10.0)
    before = rig.queue.claims
    await asyncio.sleep(60.0)
    assert rig.queue.claims - before <= 61
    worker.stop()
    await running


async def test_a_retry_that_is_an_hour_away_comes_in_time(rig: Rig):
    job = rig.submit(
        [chat("later", simulate={"fail_times": 1, "status": 500, "retry_after": 1000})], max_wait=5000.0
    )
    await rig.run(job)
    first, second = rig.provider.times("later")
    assert first + 1000.0 <= second <= first + 1002.0


async def test_requests_that_killed_their_workers_run_last_and_alone(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0))
    job = rig.submit(chats(40))
    with rig.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE requests SET lost = 3, returned = 1 WHERE custom_id IN ('r1', 'r2', 'r3')"
        )
    await rig.run(job)
    assert rig.states() == {"completed": 40}
    suspects = [seen for seen in rig.provider.journal if seen.text in {"row 0", "row 1", "row 2"}]
    others = [seen for seen in rig.provider.journal if seen not in suspects]
    assert min(seen.at for seen in suspects) >= max(seen.ended or 0.0 for seen in others)
    assert all(later.at >= (before.ended or 0.0) for before, later in pairwise(suspects))
    # One after another, without idling between.
    assert suspects[-1].at - suspects[0].at < 2.0


async def test_nothing_is_claimed_beside_a_suspect(rig: Rig):
    first = rig.submit([chat("suspect", simulate={"hang": 20}), *chats(3)], name="first")
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE custom_id = 'r1'")
    running = asyncio.create_task(rig.run(first))
    await asyncio.sleep(5.0)
    rig.submit(chats(10, start=100), name="second")
    await running
    (suspect,) = rig.provider.of("suspect")
    assert suspect.ended is not None
    assert [seen.text for seen in rig.provider.journal if suspect.at < seen.at < suspect.ended] == []
    assert rig.states(first) == {"completed": 4}


async def test_a_suspect_behind_a_pause_does_not_keep_the_worker(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(models=("known",), latency=0.5))
    job = rig.submit([*chats(3, model="unknown"), *chats(3, model="known", start=3)])
    with rig.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE requests SET lost = 3, returned = 1 WHERE custom_id IN ('r1', 'r2', 'r3', 'r4')"
        )
    assert await rig.run(job, within=60.0) is End.OVER
    assert rig.states() == {"completed": 3, "pending": 3}


async def test_a_suspect_that_fails_backs_off_like_any_other(rig: Rig):
    job = rig.submit([chat("suspect", simulate={"fail_times": 3}), *chats(3)])
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE custom_id = 'r1'")
    await rig.run(job)
    assert rig.states() == {"completed": 4}
    assert rig.rows()[0]["spent"] == 3
    assert now() < 20.0


@pytest.mark.parametrize("lanes", [1, 3])
async def test_room_for_a_reply_is_noticed_if_what_was_in_flight_brings_only_failures_that_are_undecided(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, lanes: int
):
    """Nothing of them is committed, and they wait for the verdict of the rows that wait for the room."""
    monkeypatch.setattr(commit_broker, "ReplyRoom", lambda: ReplyRoom(1_000))
    refused = {f"row {number}" for number in range(30, 42)}
    use(rig, lambda text, _path, _at: error(400, "invalid_request_error") if text in refused else OK)
    job = rig.submit([chat(f"row {number}", model=f"m{number % lanes}") for number in range(90)])
    async with asyncio.timeout(600):
        await rig.run(job, concurrency=8)
    assert rig.states() == {"completed": 78, "dead_lettered": 12}
