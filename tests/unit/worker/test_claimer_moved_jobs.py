"""A job gets another endpoint, key or header beside its runner: each answer stays that of who gave it."""

import asyncio
from typing import Any

from msgspec.structs import replace

from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.simulate import SimulatedProvider
from batcher.store.jobs import jobs
from batcher.worker.worker import End
from tests.support import stores
from tests.support.providers import FakeProvider, chats
from tests.support.workers import Rig, SlowWriter

HERE, THERE = "http://127.0.0.1:8000/v1", "http://127.0.0.1:9000/v1"


def providers_of(rig: Rig, name: Any) -> dict[str, FakeProvider]:
    """One provider for each name that the settings of the rig's jobs have."""
    made: dict[str, FakeProvider] = {}

    async def sender(job: Job) -> FakeProvider:
        return made.setdefault(name(job.settings), FakeProvider(SimulatedProvider(latency=0.05)))

    rig.senders = sender
    return made


def change(rig: Rig, job: Job, **settings: Any) -> None:
    """What `batcher resume` with other flags does to the store."""
    with rig.database.write() as connection:
        jobs.remember(connection, job.id, settings=replace(rig.job(job).settings, **settings))


async def test_an_answer_is_stored_and_cached_as_that_of_the_endpoint_that_gave_it(rig: Rig):
    providers = providers_of(rig, lambda settings: settings.base_url)
    job = rig.submit(chats(1500))
    running = asyncio.create_task(rig.run(job, concurrency=8, writer=SlowWriter(rig.database, 0.1)))
    for base_url in (THERE, HERE) * 3:
        await asyncio.sleep(3.1)
        change(rig, job, base_url=base_url)
    assert await running is End.OVER
    assert rig.states() == {"completed": 1500}
    answered_by = {
        int(seen.client_request_id.split("-")[-2]): base_url
        for base_url, provider in providers.items()
        for seen in provider.journal
    }
    base_urls = {row["id"]: row["base_url"] for row in stores.table(rig.database, "endpoints")}
    responses = {row["id"]: row for row in stores.table(rig.database, "responses")}
    wrong = [
        row["id"] for row in responses.values() if base_urls[row["endpoint_id"]] != answered_by[row["request_id"]]
    ]
    assert wrong == []
    cached = stores.table(rig.database, "cache")
    assert len(cached) == 1500
    assert all(responses[row["response_id"]]["endpoint_id"] == row["cache_scope"] for row in cached)
    assert set(answered_by.values()) == {HERE, THERE}


async def test_another_key_sends_from_its_own_lane_and_nothing_twice(rig: Rig):
    providers = providers_of(rig, lambda settings: settings.api_key_env)
    job = rig.submit(chats(300))
    running = asyncio.create_task(rig.run(job, concurrency=8, writer=SlowWriter(rig.database, 0.1)))
    for key in ("OTHER_KEY", "OPENAI_API_KEY") * 2:
        await asyncio.sleep(3.1)
        change(rig, job, api_key_env=key)
    assert await running is End.OVER
    assert rig.states() == {"completed": 300}
    keys = {row["id"]: row["key_name"] for row in stores.table(rig.database, "lanes")}
    sent_with = {
        (*map(int, seen.client_request_id.split("-")[-2:]),): key
        for key, provider in providers.items()
        for seen in provider.journal
    }
    assert len(sent_with) == 300
    assert set(sent_with.values()) == {"OTHER_KEY", "OPENAI_API_KEY"}
    wrong = [row for row in rig.attempts() if keys[row["lane_id"]] != sent_with[row["request_id"], row["send"]]]
    assert wrong == []


async def test_other_headers_are_sent_from_the_same_lane_from_the_next_request_on(rig: Rig):
    def name(settings: JobSettings) -> str:
        return settings.headers.get("X-Team", "")

    providers = providers_of(rig, name)
    job = rig.submit(chats(600))
    running = asyncio.create_task(rig.run(job, concurrency=8))
    await asyncio.sleep(2.2)
    change(rig, job, headers={"X-Team": "B"})
    assert await running is End.OVER
    before, after = providers[""].journal, providers["B"].journal
    assert (rig.states(), len(before) + len(after)) == ({"completed": 600}, 600)
    assert max(seen.at for seen in before) <= min(seen.at for seen in after)
    assert len({row["lane_id"] for row in rig.attempts()}) == 1
