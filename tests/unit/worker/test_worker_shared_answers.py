"""Every row is answered once, whatever shares an answer with it."""

import json
from collections import Counter

import pytest
from msgspec.structs import replace

from batcher.domain.events import JobFinished
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import JobState
from batcher.simulate import SimulatedProvider
from batcher.worker.worker import End
from tests.support import stores
from tests.support.providers import FakeProvider, chat, chats
from tests.support.workers import Rig


async def test_every_row_is_answered_once_and_its_answer_is_its_own(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.4, latency_sigma=0.5, seed=3))
    job = rig.submit(chats(200))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 200}
    assert set(rig.provider.counts().values()) == {1}
    assert len(rig.provider.journal) == 200
    assert rig.job(job).state is JobState.COMPLETED
    assert set(rig.events.settled().values()) == {1}
    assert len(rig.events.settled()) == 200
    assert [event.job_id for event in rig.events.of(JobFinished)] == [job.id]


async def test_each_result_belongs_to_its_request(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.4, latency_sigma=1.0, seed=5))
    await rig.run(rig.submit(chats(60)))
    answers = {row["id"]: json.loads(row["body"])["id"] for row in stores.table(rig.database, "responses")}
    given = [answers[row["response_id"]] for row in rig.rows()]
    again = FakeProvider(rig.provider.settings)
    for row, text in zip(given, (f"row {number}" for number in range(60)), strict=True):
        body = next(seen.body for seen in rig.provider.journal if seen.text == text)
        reply = await again.send(path="/v1/chat/completions", body=body, client_request_id="x")
        assert json.loads(reply.body)["id"] == row  # type: ignore[union-attr]  # answered above


@pytest.mark.parametrize("concurrency", [None, 1, 7])
async def test_rows_with_the_same_body_share_one_request(rig: Rig, concurrency: int | None):
    job = rig.submit([chat(f"row {number % 100}") for number in range(1000)])
    await rig.run(job, concurrency=concurrency)
    assert rig.states() == {"completed": 1000}
    assert rig.provider.counts() == Counter({f"row {number}": 1 for number in range(100)})
    assert sum(row["cached"] for row in rig.rows()) == 900
    assert set(rig.events.settled().values()) == {1}


@pytest.mark.parametrize("concurrency", [None, 1])
async def test_followers_wait_for_a_leader_that_fails_first(rig: Rig, concurrency: int | None):
    failing = [chat(f"row {number}", simulate={"fail_times": 2}) for number in range(5)]
    job = rig.submit(failing * 4)
    await rig.run(job, concurrency=concurrency)
    assert rig.states() == {"completed": 20}
    assert set(rig.provider.counts().values()) == {3}


async def test_repeats_of_a_refused_row_die_with_it_and_are_not_sent(rig: Rig):
    job = rig.submit([chat("bad", simulate={"status": 400})] * 100)
    await rig.run(job)
    assert rig.states() == {"dead_lettered": 100}
    assert len(rig.provider.journal) == 1
    assert rig.job(job).state is JobState.COMPLETED


async def test_two_jobs_of_the_same_bodies_run_together_send_each_body_once(rig: Rig):
    first = rig.submit(chats(50), name="first", reuse_earlier=True)
    second = rig.submit(chats(50), name="second", reuse_earlier=True)
    await rig.run(first, second)
    assert rig.states() == {"completed": 100}
    assert rig.provider.counts() == Counter({f"row {number}": 1 for number in range(50)})


async def test_two_jobs_that_do_not_share_send_every_row(rig: Rig):
    first = rig.submit(chats(20), name="first", reuse_earlier=False)
    second = rig.submit(chats(20), name="second", reuse_earlier=False)
    await rig.run(first, second)
    assert rig.states() == {"completed": 40}
    assert set(rig.provider.counts().values()) == {2}


async def test_answers_of_an_earlier_job_serve_a_later_one(rig: Rig):
    await rig.run(rig.submit(chats(30), name="first"))
    later = rig.submit(chats(40), name="later")
    await rig.run(later)
    assert rig.states(later) == {"completed": 40}
    assert len(rig.provider.journal) == 40


async def test_a_finished_job_sends_nothing_when_it_is_run_again(rig: Rig):
    job = rig.submit(chats(3))
    await rig.run(job)
    assert await rig.run(job, within=5.0) is End.OVER
    assert len(rig.provider.journal) == 3


async def test_an_attempt_is_named_after_its_job_request_and_number(rig: Rig):
    job = rig.submit([chat("once", simulate={"fail_times": 1})])
    await rig.run(job)
    names = [seen.client_request_id for seen in rig.provider.journal]
    assert names == [f"{job.public_id}-{rig.rows()[0]['id']}-{send}" for send in (1, 2)]


class Coarse(FakeProvider):
    """What it measures is rounded up, as on a loop whose clock counts milliseconds."""

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        result = await super().send(path=path, body=body, client_request_id=client_request_id)
        return replace(result, latency_us=result.latency_us + 1_000)


async def test_an_attempt_has_ended_by_the_time_it_is_settled_however_coarsely_its_latency_was_measured(rig: Rig):
    rig.provider = Coarse()
    await rig.run(rig.submit(chats(5)))
    settled = {row["id"]: row["settled_at"] for row in rig.rows()}
    attempts = stores.table(rig.database, "attempts")
    assert len(attempts) == 5
    assert all(attempt["ended_at"] <= settled[attempt["request_id"]] for attempt in attempts)
