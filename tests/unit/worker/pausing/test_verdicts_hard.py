"""Undecided failures end: no run hangs or breaks on them, whatever else happens to their rows, lanes and jobs."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from batcher.domain.messages import Cause
from batcher.domain.requests import Filters
from batcher.domain.settings import Limits
from batcher.domain.states import PauseReason, PauseScope
from batcher.services.dead_letters.retry import choose, put_back
from batcher.worker.worker import End
from tests.support.providers import chat, chats
from tests.support.scripted import ANSWER, OK, Said, error, use
from tests.support.workers import Rig

MIB = 1024 * 1024


def place(text: str) -> int:
    return int(text.split()[1])


async def test_a_key_that_is_refused_in_two_ways_breaks_nothing(rig: Rig):
    """The last row is asked again, and then it is refused for another cause."""
    seen: Counter[str] = Counter()

    def decide(text: str, _path: str, _at: float) -> Said:
        seen[text] += 1
        if text != "row 9":
            return OK
        return error(401, "invalid_api_key") if seen[text] == 1 else error(402, "no_credit")

    use(rig, decide)
    job = rig.submit(chats(10))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 9, "pending": 1}
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.KEY]


async def test_a_row_that_is_asked_again_may_fail_for_a_cause_of_its_own(rig: Rig):
    seen: Counter[str] = Counter()

    def decide(text: str, _path: str, _at: float) -> Said:
        seen[text] += 1
        if text != "row 9":
            return OK
        return error(401, "invalid_api_key") if seen[text] == 1 else error(400, "odd")

    use(rig, decide)
    job = rig.submit(chats(10))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 9, "dead_lettered": 1}


@pytest.mark.parametrize(("code", "end"), [("bad", "pending"), (None, "dead_lettered")])
async def test_large_rows_that_are_undecided_leave_room_for_others(rig: Rig, code: str | None, end: str):
    """Their bodies are not needed any more: if they counted as in hand, no other row could be asked."""
    use(rig, lambda text, _path, _at: error(400, code or f"odd_{place(text)}"))
    job = rig.submit([chat(f"row {number}", padding="x" * 20 * MIB) for number in range(16)])
    assert await rig.run(job) is End.OVER
    assert rig.states() == {end: 16}


async def test_causes_that_all_differ_keep_little_in_memory(rig: Rig):
    most = 0
    sender = use(rig, lambda text, _path, _at: error(400, f"odd_{place(text)}"))
    job = rig.submit(chats(3_000))
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    while not running.done():
        await asyncio.sleep(0.05)
        most = max([most, *(each.held for each in worker.state.jobs.values())])
    assert await running is End.OVER
    assert rig.states() == {"dead_lettered": 3_000}
    assert len(sender.sent) == 3_000
    assert most <= 2_000


@pytest.mark.parametrize("status", [403, 404])
async def test_what_is_refused_for_all_that_is_left_spends_no_row(rig: Rig, status: int):
    use(rig, lambda text, _path, _at: OK if place(text) < 40 else error(status, "model_not_found"))
    job = rig.submit(chats(60))
    assert await rig.run(job, concurrency=32) is End.OVER
    assert rig.states() == {"completed": 40, "pending": 20}
    assert len(rig.pauses()) == 1


@pytest.mark.parametrize("concurrency", [1, 8, None])
@pytest.mark.parametrize("status", [400, 403])
async def test_three_rows_in_ten_that_are_refused_stop_nothing(rig: Rig, status: int, concurrency: int | None):
    use(rig, lambda text, _path, _at: error(status, "filtered") if place(text) * 7 % 10 < 3 else OK)
    job = rig.submit(chats(400))
    assert await rig.run(job, concurrency=concurrency) is End.OVER
    assert rig.states() == {"completed": 280, "dead_lettered": 120}
    assert rig.pauses() == []


async def test_answers_that_all_miss_their_format_pause_the_route_for_that(rig: Rig):
    use(rig, lambda _text, _path, _at: OK)
    asked: dict[str, Any] = {"response_format": {"type": "json_object"}, "temperature": 0}
    job = rig.submit([chat(f"row {number}", **asked) for number in range(40)], validate_output=True)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"pending": 40}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.ROUTE, PauseReason.FORMAT)
    rig.resume(job)
    assert await rig.run(job, probing=[job]) is End.OVER
    assert rig.states() == {"dead_lettered": 40}


async def test_a_held_route_leaves_room_for_others_of_its_lane(rig: Rig):
    """One long answer is awaited before the route pauses; the rows that it has ready fill its lane."""

    def decide(text: str, path: str, _at: float) -> Said:
        if "embeddings" in path:
            return 0.1, 200, {"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        return (500.0, 200, ANSWER) if text == "row 0" else error(401, "invalid_api_key", after=1.0)

    sender = use(rig, decide)
    chatting = rig.submit(chats(600))
    embedding = rig.submit(({"model": "m", "input": f"text {number}"} for number in range(100)), name="other")
    worker = rig.worker(concurrency=4)
    running = asyncio.create_task(worker.run([chatting.id, embedding.id]))
    await asyncio.sleep(100.0)
    assert sum(text.startswith("text") for text in sender.sent) == 100
    assert await running is End.OVER
    assert rig.states(embedding) == {"completed": 100}


async def test_settings_that_change_beside_what_is_undecided(rig: Rig):
    """What was refused under the former settings costs no row under the new ones."""
    right = False
    use(rig, lambda _text, _path, _at: OK if right else error(403, "no_permission", after=10.0))
    job = rig.submit(chats(60))
    worker = rig.worker(concurrency=30)
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(5.0)
    right = True
    rig.resume(job)
    assert await running is End.OVER
    assert rig.states() == {"completed": 60}
    assert rig.pauses() == []


@pytest.mark.parametrize("how", ["cancelled", "dropped"])
async def test_a_job_that_ends_while_rows_are_undecided_lets_others_end(rig: Rig, how: str):
    said = error(403, "no_permission")
    use(rig, lambda text, _path, _at: said if place(text) >= 500 else (20.0, 200, ANSWER))
    one, other = rig.submit(chats(50, start=500)), rig.submit(chats(10), name="other")
    worker = rig.worker(concurrency=8)
    running = asyncio.create_task(worker.run([one.id, other.id]))
    await asyncio.sleep(3.0)
    with rig.database.write() as connection:
        if how == "cancelled":
            connection.exec_driver_sql("UPDATE jobs SET state = 'cancelled' WHERE id = ?", (one.id,))
        connection.exec_driver_sql("UPDATE jobs SET wanted = 0 WHERE id = ?", (one.id,))
    assert await running is End.OVER
    assert rig.states(other) == {"completed": 10}
    assert all(not lane.held for lane in worker.state.lanes.values())


async def test_a_consumer_that_takes_its_time_ends(rig: Rig):
    use(rig, lambda text, _path, _at: error(400, "bad") if place(text) % 2 else OK)
    rig.events.gate = asyncio.Event()
    job = rig.submit(chats(60))
    worker = rig.worker(concurrency=4)
    running = asyncio.create_task(worker.run([job.id]))
    for _ in range(200):
        await asyncio.sleep(1.0)
        rig.events.gate.set()
        worker.wake()
        await asyncio.sleep(0.001)
        rig.events.gate.clear()
    rig.events.gate.set()
    worker.wake()
    assert await running is End.OVER
    assert rig.states() == {"completed": 30, "dead_lettered": 30}


async def test_a_consumer_that_is_behind_is_given_what_nothing_else_can_show(rig: Rig):
    """It may wait for just the rows that are undecided: nothing is claimed for it that could decide them."""
    use(rig, lambda _text, _path, _at: error(400, "bad"))
    rig.events.gate = asyncio.Event()
    rig.events.gate.set()
    job = rig.submit(chats(60))
    worker = rig.worker(concurrency=2)
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(0.006)
    rig.events.gate.clear()
    await asyncio.sleep(100.0)
    rig.events.gate.set()
    worker.wake()
    assert await running is End.OVER
    assert rig.states() == {"pending": 60}


@pytest.mark.parametrize("number", [0, 5, 9])
async def test_a_suspect_that_fails_alone_is_settled(rig: Rig, number: int):
    use(rig, lambda text, _path, _at: error(400, "bad") if text == f"row {number}" else OK)
    job = rig.submit(chats(10))
    with rig.database.write() as connection:
        connection.exec_driver_sql("UPDATE requests SET lost = 3, returned = 1 WHERE line IN (1, 6, 10)")
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 9, "dead_lettered": 1}


async def test_a_row_that_backs_off_decides_in_the_end(rig: Rig):
    seen: Counter[str] = Counter()

    def decide(text: str, _path: str, _at: float) -> Said:
        seen[text] += 1
        if text == "row 1":
            return OK if seen[text] == 3 else error(500, "oops")
        return error(403, "blocked") if text == "row 0" else OK

    use(rig, decide)
    job = rig.submit(chats(2))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 1, "dead_lettered": 1}


async def test_one_request_a_minute_ends(rig: Rig):
    use(rig, lambda text, _path, _at: error(403, "blocked") if place(text) in {0, 5, 9} else OK)
    job = rig.submit(chats(10), limits=Limits(rpm=1.0))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 7, "dead_lettered": 3}


async def test_a_lane_that_is_rate_limited_meanwhile_ends(rig: Rig):
    def decide(text: str, _path: str, at: float) -> Said:
        if 3.0 <= at < 40.0:
            return error(429, "rate_limit_exceeded")
        return error(403, "blocked") if place(text) % 3 == 0 else OK

    use(rig, decide)
    job = rig.submit(chats(90))
    assert await rig.run(job, concurrency=8) is End.OVER
    assert rig.states() == {"completed": 60, "dead_lettered": 30}
    assert rig.pauses() == []


async def test_a_key_that_is_revoked_beside_long_answers_spends_nothing(rig: Rig):
    def decide(text: str, _path: str, at: float) -> Said:
        if at >= 50.0:
            return error(401, "invalid_api_key")
        return (200.0 if place(text) % 10 == 0 else 2.0), 200, ANSWER

    use(rig, decide)
    job = rig.submit(chats(2_000))
    assert await rig.run(job, concurrency=16) is End.OVER
    assert set(rig.states()) == {"completed", "pending"}
    assert {row["spent"] for row in rig.rows()} == {0}
    assert [(pause.scope, pause.reason) for pause in rig.pauses()] == [(PauseScope.KEY, PauseReason.CREDENTIALS)]


async def test_one_model_that_is_unknown_among_many_pauses_alone(rig: Rig):
    use(rig, lambda text, _path, _at: error(404, "model_not_found") if place(text) % 6 == 5 else OK)
    job = rig.submit([chat(f"row {number}", model=f"m{number % 6}") for number in range(120)])
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 100, "pending": 20}
    assert [pause.scope for pause in rig.pauses()] == [PauseScope.LANE]


async def test_a_missing_page_beside_answers_is_not_put_down_to_the_address(rig: Rig):
    """The base URL answers another model of the job, so no one is told to look for another one."""
    use(rig, lambda text, _path, _at: (0.2, 404, b"Not Found") if place(text) % 2 else OK)
    job = rig.submit([chat(f"row {number}", model=f"m{number % 2}") for number in range(40)])
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 20, "pending": 20}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.fix) == (PauseScope.LANE, Cause.OTHER_PATHS_ANSWER())


async def test_a_redrive_beside_the_runner_is_picked_up(rig: Rig):
    refused = True
    use(rig, lambda text, _path, _at: error(403, "blocked") if text == "row 0" and refused else OK)
    job = rig.submit(chats(100))
    running = asyncio.create_task(rig.run(job, concurrency=1))
    await asyncio.sleep(30.0)
    refused = False
    put_back(rig.database, choose(rig.database, Filters(job=job.id), []))
    await running
    assert rig.states(job) == {"completed": 100}


@pytest.mark.parametrize("refused", [8, 9, 10, 11, 12, 13])
async def test_a_pause_that_awaits_long_answers_of_other_routes_asks_nothing_again(rig: Rig, refused: int):
    """The key is refused for one route that has nothing left, and another one still awaits a long answer."""

    def decide(text: str, _path: str, at: float) -> Said:
        if text == "row 0":
            return 300.0, 200, ANSWER
        return OK if at < 5.0 or place(text) < 50 else error(401, "invalid_api_key", after=1.0)

    use(rig, decide)
    job = rig.submit([chat("row 0", model="slow"), *chats(49 + refused, start=1)])
    assert await rig.run(job, concurrency=4) is End.OVER
    assert rig.states() == {"completed": 50, "pending": refused}
    assert [pause.scope for pause in rig.pauses()] in ([PauseScope.KEY], [PauseScope.LANE])


async def test_two_rows_that_are_refused_before_the_first_answer_pause_nothing(rig: Rig):
    use(rig, lambda text, _path, _at: error(403, "blocked") if place(text) in {1, 3} else OK)
    job = rig.submit(chats(30))
    assert await rig.run(job, concurrency=3) is End.OVER
    assert rig.states() == {"completed": 28, "dead_lettered": 2}
    assert rig.pauses() == []


async def test_an_address_that_leads_nowhere_once_is_asked_again(rig: Rig):
    """The route has not answered yet, so the reply is not known as an outage's."""
    seen: Counter[str] = Counter()

    def decide(text: str, _path: str, _at: float) -> Said:
        seen[text] += 1
        return (0.005, 302, b"") if text == "row 0" and seen[text] == 1 else OK

    use(rig, decide)
    job = rig.submit(chats(10))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 10}
