"""What waits for a person stops at once, costs no row anything, and goes on after a resume with one request."""

import asyncio

import pytest
from msgspec.structs import replace

from batcher.domain.errors import ConfigError
from batcher.domain.events import SendingPaused
from batcher.domain.jobs import Job
from batcher.domain.states import PauseReason, PauseScope
from batcher.ports import Sender
from batcher.simulate import SimulatedProvider
from batcher.store.jobs import jobs
from batcher.worker.worker import End
from tests.support.messages import words
from tests.support.providers import FakeProvider, chat, chats
from tests.support.workers import Rig, SlowWriter, now, until

KEYED = SimulatedProvider(api_key="good", latency=0.5, latency_sigma=0.3)


async def test_a_bad_key_pauses_it_and_nothing_is_spent(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(api_key="good"), key="a bad key of some length")
    job = rig.submit(chats(100))
    assert await rig.run(job, within=30.0) is End.OVER
    assert rig.states() == {"pending": 100}
    assert {(row["spent"], row["lost"]) for row in rig.rows()} == {(0, 0)}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.KEY, PauseReason.CREDENTIALS)
    # Eight at once, and one that finds out.
    assert len(rig.provider.journal) <= 9
    assert len(rig.events.of(SendingPaused)) == 1


async def test_a_row_with_which_the_key_is_refused_while_others_are_answered_stops_none(rig: Rig):
    """One row's reply names an empty account while seven others are on their way."""
    bodies = [
        chat("broke", simulate={"code": "insufficient_quota"}),
        *chats(7, simulate={"hang": 5}),
        *chats(50, start=7),
    ]
    job = rig.submit(bodies)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 57, "dead_lettered": 1}
    assert rig.pauses() == []
    assert rig.provider.counts()["broke"] == 3


async def test_what_is_in_flight_at_a_pause_ends_as_it_ends(rig: Rig):
    """An account is empty from the ninth row on, while seven of the first eight are on their way."""
    bodies = [
        *chats(7, simulate={"hang": 5}),
        *(chat(f"broke {number}", simulate={"code": "insufficient_quota"}) for number in range(50)),
    ]
    job = rig.submit(bodies)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 7, "pending": 50}
    assert {row["spent"] for row in rig.rows()} == {0}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.KEY, PauseReason.QUOTA)


@pytest.mark.parametrize("models", [1, 3])
async def test_after_a_resume_one_request_of_each_lane_goes_first(rig: Rig, models: int):
    rig.provider = FakeProvider(KEYED, key="a bad key of some length")
    job = rig.submit([chat(f"row {number}", model=f"m{number % models}") for number in range(60)])
    await rig.run(job)
    rig.provider.key, before = "good", len(rig.provider.journal)
    rig.resume(job)
    assert await rig.run(job, probing=[job]) is End.OVER
    assert rig.states() == {"completed": 60}
    assert rig.pauses() == []
    resumed = rig.provider.journal[before:]
    first_answer = min(seen.ended or 0.0 for seen in resumed)
    assert len([seen for seen in resumed if seen.at < first_answer]) == models


async def test_a_key_that_is_still_bad_costs_two_requests_a_resume(rig: Rig):
    rig.provider = FakeProvider(KEYED, key="a bad key of some length")
    job = rig.submit(chats(60))
    await rig.run(job)
    before = len(rig.provider.journal)
    rig.resume(job)
    assert await rig.run(job, probing=[job]) is End.OVER
    assert len(rig.provider.journal) == before + 2
    assert rig.states() == {"pending": 60}
    assert len(rig.pauses()) == 1


async def test_a_job_resumed_beside_its_live_runner_goes_on_there(rig: Rig):
    """Another lane keeps the runner alive; the paused one is resumed through the store: one request goes first."""
    bodies = [*chats(40, model="paused"), *chats(40, model="works", start=40)]
    rig.provider = FakeProvider(SimulatedProvider(models=("works",), latency=2.0, latency_sigma=0.0))
    job = rig.submit(bodies)
    running = asyncio.create_task(rig.run(job, concurrency=4))
    await until(5.0)
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.LANE]
    sent = len([seen for seen in rig.provider.journal if seen.model == "paused"])
    rig.provider._provider._settings = SimulatedProvider(latency=2.0, latency_sigma=0.0)
    resumed_at = now()
    rig.resume(job)
    await running
    later = [seen for seen in rig.provider.journal if seen.model == "paused"][sent:]
    assert rig.states() == {"completed": 80}
    assert later[0].at >= resumed_at
    assert [seen for seen in later[1:] if seen.at < (later[0].ended or 0.0)] == []


async def test_an_unknown_model_pauses_its_lane_while_the_others_go_on(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(models=("known",)))
    job = rig.submit([*chats(30, model="unknown"), *chats(50, model="known", start=30)])
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 50, "pending": 30}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.LANE, PauseReason.MODEL)


async def test_a_model_error_after_others_were_answered_is_that_rows_own(rig: Rig):
    job = rig.submit(
        [*chats(20), chat("odd", simulate={"code": "model_not_found", "hang": 3}), *chats(20, start=20)]
    )
    await rig.run(job)
    assert rig.states() == {"completed": 40, "dead_lettered": 1}
    assert rig.pauses() == []


async def test_a_job_whose_key_is_missing_pauses_while_another_runs(rig: Rig):
    async def senders(job: Job) -> Sender:
        if job.name == "keyless":
            raise ConfigError("OPENAI_API_KEY is not set", hint="set it")
        return rig.provider

    rig.senders = senders
    keyless, other = rig.submit(chats(10), name="keyless"), rig.submit(chats(10, start=10), name="other")
    assert await rig.run(keyless, other) is End.OVER
    assert (rig.states(keyless), rig.states(other)) == ({"pending": 10}, {"completed": 10})
    (pause,) = rig.pauses()
    assert (pause.scope, pause.ref, pause.message) == (
        PauseScope.JOB,
        str(keyless.id),
        "OPENAI_API_KEY is not set",
    )


async def test_a_key_that_vanishes_while_its_job_runs_pauses_the_job(rig: Rig):
    missing = False

    async def senders(_: Job) -> Sender:
        if missing:
            raise ConfigError("OTHER_KEY is not set", hint="set it")
        return rig.provider

    rig.senders = senders
    job = rig.submit(chats(200))
    running = asyncio.create_task(rig.run(job, concurrency=4))
    await until(3.2)
    missing = True
    rig.resume(job)
    assert await running is End.OVER
    states = rig.states()
    assert states["claimed"] == states["dead_lettered"] == 0
    assert 0 < states["pending"] < 200
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.JOB]
    last = max(seen.at for seen in rig.provider.journal)
    assert last < 5.3


async def test_a_settings_change_moves_a_running_job_to_another_keys_lane(rig: Rig):
    job = rig.submit(chats(100))
    running = asyncio.create_task(rig.run(job, concurrency=4))
    await until(3.2)
    with rig.database.write() as connection:
        jobs.remember(connection, job.id, settings=replace(job.settings, api_key_env="OTHER_KEY"))
    await running
    assert rig.states() == {"completed": 100}
    assert set(rig.provider.counts().values()) == {1}
    lanes_used = {attempt["lane_id"] for attempt in rig.attempts()}
    assert len(lanes_used) == 2


async def test_a_lane_that_answers_nothing_pauses_alone(rig: Rig):
    """Refused for as long as a job waits: its lane pauses, the other one has long been answered."""
    refused = {"refuse_times": 100_000, "retry_after": 20}
    job = rig.submit([*chats(5, model="refused", simulate=refused), *chats(5, model="works")], max_wait=120.0)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 5, "pending": 5}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.LANE, PauseReason.ENDPOINT)
    assert 120.0 <= now() <= 150.0
    assert {row["spent"] for row in rig.rows()} == {0}


async def test_a_long_wait_that_the_provider_named_is_not_silence(rig: Rig):
    told = {"refuse_times": 1, "retry_after": 300}
    job = rig.submit([chat("told", simulate=told)], max_wait=100.0)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 1}
    assert rig.pauses() == []
    assert now() >= 300.0


async def test_a_lane_without_work_is_not_silent(rig: Rig):
    """It found fault with its last row long ago; nothing waits for it, so nothing pauses."""
    long = chat("long", model="b", simulate={"refuse_times": 100, "retry_after": 20})
    job = rig.submit([chat("broken", model="a", simulate={"status": 500}), long], max_attempts=1, max_wait=150.0)
    assert await rig.run(job) is End.OVER
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.LANE]
    assert rig.states() == {"dead_lettered": 1, "pending": 1}
    assert "b answered nothing" in words(rig.pauses()[0].message)


async def test_answers_that_take_longer_than_the_patience_are_no_silence(rig: Rig):
    job = rig.submit([chat(f"row {number}", simulate={"hang": 300}) for number in range(8)], max_wait=100.0)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 8}


async def test_what_was_being_claimed_as_a_pause_began_is_not_sent(rig: Rig):
    """The disk is slow: claims and commits are on their way when the first 401 comes."""
    rig.provider = FakeProvider(
        SimulatedProvider(api_key="good", latency_sigma=0.3), key="a bad key of some length"
    )
    job = rig.submit(chats(300))
    await rig.run(job, writer=SlowWriter(rig.database, 0.35))
    first = min(seen.ended or 0.0 for seen in rig.provider.journal)
    assert [seen for seen in rig.provider.journal if seen.at > first] == []
    assert rig.states() == {"pending": 300}
    assert {row["sends"] for row in rig.rows()} == {0, 1}
