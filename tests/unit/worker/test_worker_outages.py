"""When the endpoint is gone: nothing is used up, one request at a time asks whether it is back."""

from itertools import pairwise

import pytest

from batcher.domain.events import AttemptEnded, BreakerChanged
from batcher.domain.lanes import LaneKey
from batcher.domain.states import FaultKind, PauseReason, PauseScope
from batcher.simulate import SimulatedProvider
from batcher.store.dead_letters import listing
from batcher.store.queue import lanes
from batcher.store.reports import job_counts, results
from batcher.worker.worker import End
from tests.support.messages import words
from tests.support.providers import FakeProvider, Outage, chat, chats
from tests.support.scripted import OK, error, use
from tests.support.workers import Rig, now


@pytest.mark.parametrize("count", [1, 3, 200])
@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.DNS, FaultKind.TLS])
async def test_an_endpoint_that_was_never_there_pauses_after_half_a_minute(rig: Rig, count: int, kind: FaultKind):
    rig.provider.script = Outage(0.0, 1e9, kind)
    job = rig.submit(chats(count))
    assert await rig.run(job) is End.OVER
    assert 30.0 <= now() <= 50.0
    assert rig.states() == {"pending": count}
    assert {row["spent"] for row in rig.rows()} == {0}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.ENDPOINT, PauseReason.ENDPOINT)
    assert "could not be reached" in words(pause.message)
    assert len(rig.provider.script.tried) < 60


async def test_a_resume_after_that_finds_it_there(rig: Rig):
    rig.provider.script = Outage(0.0, 100.0)
    job = rig.submit(chats(30))
    await rig.run(job)
    assert now() < 100.0
    rig.provider.script = lambda _: None
    rig.resume(job)
    await rig.run(job, probing=[job])
    assert rig.states() == {"completed": 30}


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.RESET])
async def test_an_outage_is_waited_out_and_nothing_is_lost(rig: Rig, kind: FaultKind):
    outage = Outage(5.0, 605.0, kind)
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0), script=outage)
    job = rig.submit(chats(400))
    assert await rig.run(job, concurrency=16) is End.OVER
    assert rig.states() == {"completed": 400}
    assert rig.pauses() == []
    # Those that failed before it was known for an outage have spent an attempt, if they were sent.
    assert sum(row["spent"] for row in rig.rows()) <= (7 if kind is FaultKind.RESET else 0)
    assert max(row["spent"] for row in rig.rows()) <= 1
    assert [event.open for event in rig.events.of(BreakerChanged)] == [True, False]


async def test_attempts_are_what_the_provider_has_seen_not_connections_that_failed(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0), script=Outage(0.0, 20.0))
    job = rig.submit(chats(30))
    assert await rig.run(job, concurrency=8) is End.OVER
    assert len(rig.attempts()) > 30
    with rig.database.read() as connection:
        counted = job_counts.counts(connection, rig.job(job)).attempts
        each = [row.attempts for row in results.answered(connection, rig.job(job))]
        shown = [listing.show(connection, row["id"]).letter.attempts for row in rig.rows()]
    assert counted == len(rig.provider.journal) == 30
    assert each == shown == [1] * 30
    told = rig.events.of(AttemptEnded)
    assert (len(told), sum(event.sent for event in told)) == (len(rig.attempts()), 30)


async def test_in_an_outage_one_request_at_a_time_probes_further_and_further_apart(rig: Rig):
    outage = Outage(5.0, 605.0)
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0), script=outage)
    await rig.run(rig.submit([*chats(200, model="a"), *chats(200, model="b", start=200)]), concurrency=16)
    opened = rig.events.of(BreakerChanged)[0]
    probes = [at for at in outage.tried if at > outage.tried[0] + 1.5]
    gaps = [later - before for before, later in pairwise(probes)]
    assert opened.open
    assert min(gaps) >= 0.9
    assert max(gaps) <= 32.0
    assert sorted(gaps[:4]) == gaps[:4]
    assert len(probes) < 40


async def test_after_an_outage_traffic_comes_back_gradually(rig: Rig):
    outage = Outage(20.0, 120.0)
    rig.provider = FakeProvider(SimulatedProvider(latency=1.0, latency_sigma=0.0), script=outage)
    job = rig.submit(chats(1000))
    await rig.run(job, concurrency=32)
    back = [seen.at for seen in rig.provider.journal if seen.at >= 120.0]
    first_answer = back[0] + 1.0
    assert len([at for at in back if at < first_answer]) == 1
    assert len([at for at in back if at < first_answer + 2.5]) <= 12
    assert rig.states() == {"completed": 1000}


async def test_an_outage_that_outlasts_the_patience_pauses_the_endpoint(rig: Rig):
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5), script=Outage(5.0, 1e9))
    job = rig.submit([*chats(100, model="a"), *chats(100, model="b", start=100)], max_wait=300.0)
    assert await rig.run(job, concurrency=8) is End.OVER
    assert 300.0 <= now() <= 380.0
    states = rig.states()
    assert states["pending"] > 0
    assert states["dead_lettered"] == states["claimed"] == 0
    assert {row["spent"] for row in rig.rows()} == {0}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.ENDPOINT, PauseReason.ENDPOINT)
    assert "answered nothing" in words(pause.message)


async def test_a_server_that_only_fails_pauses_too(rig: Rig):
    """500 to everything from the start: the rows that were sent before it was known keep their attempts."""
    rig.provider = FakeProvider(SimulatedProvider(latency=0.2, fail=1.0))
    job = rig.submit(chats(200), max_wait=200.0)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"pending": 200}
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.ENDPOINT]
    assert len(rig.provider.journal) < 40


async def test_an_overloaded_model_is_no_outage_of_its_neighbour(rig: Rig):
    busy = {"code": "server_is_overloaded", "fail_times": 2}
    job = rig.submit([*chats(10, model="busy", simulate=busy), *chats(60, model="free", start=10)])
    await rig.run(job, concurrency=4)
    assert max(seen.at for seen in rig.provider.journal if seen.model == "free") < 15.0
    assert rig.events.of(BreakerChanged) == []
    assert {row["spent"] for row in rig.rows()} == {0}


async def test_a_lane_that_cools_down_does_not_keep_the_probe_from_another(rig: Rig):
    """Lane a is told to wait for five minutes; then the endpoint goes away for ten seconds."""
    outage = Outage(3.0, 13.0)
    rig.provider = FakeProvider(SimulatedProvider(latency=0.5, latency_sigma=0.0), script=outage)
    told = chat("told", model="a", simulate={"refuse_times": 1, "retry_after": 300})
    job = rig.submit([told, *chats(20, model="a"), *chats(100, model="b", start=20)])
    await rig.run(job, concurrency=8)
    assert max(seen.at for seen in rig.provider.journal if seen.model == "b") < 60.0
    assert rig.states() == {"completed": 121}


async def test_an_endpoint_that_answered_an_earlier_run_is_waited_for_not_given_up_after_half_a_minute(rig: Rig):
    assert await rig.run(rig.submit(chats(5), name="before")) is End.OVER
    rig.provider = FakeProvider(
        SimulatedProvider(latency=0.5, latency_sigma=0.0), script=Outage(now(), now() + 300.0)
    )
    job = rig.submit(chats(20, start=50), name="after")
    assert await rig.run(job) is End.OVER
    assert rig.pauses() == []
    assert rig.states(job) == {"completed": 20}


async def test_answers_of_another_endpoint_tell_nothing_of_this_one(rig: Rig):
    elsewhere = rig.submit(chats(5), name="before", base_url="http://127.0.0.1:7/v1")
    assert await rig.run(elsewhere) is End.OVER
    rig.provider.script = Outage(0.0, 1e9)
    assert await rig.run(rig.submit(chats(3, start=50), name="after")) is End.OVER
    assert [pause.reason for pause in rig.pauses()] == [PauseReason.ENDPOINT]
    assert now() < 60.0


async def test_an_answer_that_is_not_in_the_cache_is_known_too(rig: Rig):
    await rig.run(job := rig.submit(chats(2), name="before"))
    with rig.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM cache")
        key = LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model="m")
        assert lanes.open_lane(connection, key, now=rig.clock.now()).endpoint_answered


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("max_attempts", [3, 6])
async def test_a_small_job_waits_out_an_outage_as_a_large_one_does(rig: Rig, count: int, max_attempts: int):
    use(rig, lambda _text, _path, at: (0.01, 503, {"error": {"message": "x"}}) if at < 600.0 else OK)
    job = rig.submit(chats(count), max_attempts=max_attempts)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": count}
    assert 600.0 <= now() < 640.0
    assert rig.pauses() == []


async def test_a_row_that_crashes_its_server_is_a_dead_letter_though_no_other_is_left(rig: Rig):
    use(rig, lambda text, _path, _at: (0.01, 502, b"<html></html>") if text == "row 19" else OK)
    job = rig.submit(chats(20))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 19, "dead_lettered": 1}
    assert now() < 120.0
    assert rig.pauses() == []


async def test_a_server_error_with_words_is_the_rows_after_its_attempts(rig: Rig):
    use(rig, lambda _text, _path, _at: error(500, "internal"))
    job = rig.submit(chats(1))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"dead_lettered": 1}
    assert now() < 120.0
