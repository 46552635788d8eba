"""One row never decides for all, and what is about all costs no row: other rows show whose fault a failure is."""

import asyncio
import json

import pytest

from batcher.domain.states import PauseReason, PauseScope
from batcher.worker.worker import End
from tests.support.messages import words
from tests.support.providers import chat, chats
from tests.support.scripted import ANSWER, OK, Said, error, use
from tests.support.workers import Rig, now

#: What is refused about one row alone, faster than any answer comes.
OF_ONE_ROW: list[Said] = [
    error(403, "blocked_by_policy"),
    error(403, "permission_denied", type="permission_error"),
    (0.005, 403, b"<html><title>Attention Required!</title></html>"),
    error(404, "not_found", param="prompt.id"),
    error(404, "model_not_found"),
    (0.005, 404, b""),
    (0.005, 405, b"<html></html>"),
    (0.005, 302, b""),
    error(400, "invalid_request_error"),
    error(413, "request_too_large"),
]


@pytest.mark.parametrize("concurrency", [1, 4, None])
@pytest.mark.parametrize("place", [0, 3, 29])
@pytest.mark.parametrize("said", OF_ONE_ROW, ids=lambda said: f"{said[1]}-{json.dumps(str(said[2]))[:20]}")
async def test_a_row_that_is_refused_alone_stops_no_other(
    rig: Rig, said: Said, place: int, concurrency: int | None
):
    sender = use(rig, lambda text, _path, _at: said if text == f"row {place}" else OK)
    job = rig.submit(chats(30))
    assert await rig.run(job, concurrency=concurrency) is End.OVER
    assert rig.states() == {"completed": 29, "dead_lettered": 1}
    assert rig.pauses() == []
    assert sender.sent.count(f"row {place}") <= 7


@pytest.mark.parametrize("status", [401, 402])
@pytest.mark.parametrize("place", [0, 50, 99])
async def test_a_key_that_is_refused_once_is_asked_again(rig: Rig, status: int, place: int):
    seen: list[str] = []

    def decide(text: str, _path: str, _at: float) -> Said:
        seen.append(text)
        return error(status, "odd") if seen.count(f"row {place}") == 1 and text == f"row {place}" else OK

    use(rig, decide)
    job = rig.submit(chats(100))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 100}
    assert rig.pauses() == []


@pytest.mark.parametrize("answered", [0, 40])
async def test_a_key_that_is_refused_for_all_pauses_it_and_spends_nothing(rig: Rig, answered: int):
    sender = use(
        rig, lambda text, _path, _at: OK if int(text.split()[1]) < answered else error(401, "invalid_api_key")
    )
    job = rig.submit(chats(300))
    assert await rig.run(job, concurrency=8) is End.OVER
    assert rig.states() == (
        {"pending": 300} if not answered else {"pending": 300 - answered, "completed": answered}
    )
    assert {row["spent"] for row in rig.rows()} == {0}
    assert [(pause.scope, pause.reason) for pause in rig.pauses()] == [(PauseScope.KEY, PauseReason.CREDENTIALS)]
    assert len(sender.sent) <= answered + 24


@pytest.mark.parametrize("count", [1, 3, 40])
async def test_a_path_that_is_not_offered_pauses_its_route_alone(rig: Rig, count: int):
    use(rig, lambda _text, path, _at: OK if "chat" in path else (0.005, 404, {"detail": "Not Found"}))
    bodies = [
        *chats(30),
        *({"model": "m", "input": f"text {number}"} for number in range(count)),
        *chats(30, start=30),
    ]
    job = rig.submit(bodies)
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"completed": 60, "pending": count}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.ROUTE, PauseReason.ENDPOINT)
    assert "--base-url" not in words(pause.fix, job=1)
    rig.resume(job)
    assert await rig.run(job, probing=[job]) is End.OVER
    assert rig.states() == {"completed": 60, "dead_lettered" if count < 8 else "pending": count}


async def test_a_wrong_base_url_pauses_the_endpoint_once_for_all_its_models(rig: Rig):
    sender = use(rig, lambda _text, _path, _at: (0.005, 404, b"404 page not found"))
    job = rig.submit([chat(f"row {number}", model=f"m{number % 3}") for number in range(60)])
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"pending": 60}
    assert "--base-url" in words(rig.pauses()[0].fix, job=1)
    assert len(sender.sent) <= 3 * 10


@pytest.mark.parametrize("rows", [8, 60, 300])
async def test_rows_that_all_fail_alike_pause_and_are_given_back(rig: Rig, rows: int):
    sender = use(rig, lambda _text, _path, _at: error(400, "unsupported_parameter", param="max_tokens"))
    job = rig.submit(chats(rows))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"pending": rows}
    assert {row["spent"] for row in rig.rows()} == {0}
    (pause,) = rig.pauses()
    assert (pause.scope, pause.reason) == (PauseScope.ROUTE, PauseReason.SAME_FAILURE)
    assert "unsupported_parameter, it says" in words(pause.message)
    assert len(sender.sent) <= 20


async def test_fewer_rows_than_that_are_dead_letters(rig: Rig):
    use(rig, lambda _text, _path, _at: error(400, "unsupported_parameter"))
    job = rig.submit(chats(7))
    assert await rig.run(job) is End.OVER
    assert rig.states() == {"dead_lettered": 7}


async def test_a_resume_confirms_that_cause_and_no_other(rig: Rig):
    causes = {"first": error(400, "unsupported_parameter")}
    use(rig, lambda _text, _path, _at: causes["first"])
    job = rig.submit(chats(50))
    await rig.run(job)
    rig.resume(job)
    causes["first"] = error(400, "other")
    await rig.run(job, probing=[job])
    assert rig.states() == {"pending": 50}
    assert len(rig.pauses()) == 1
    rig.resume(job)
    causes["first"] = error(400, "unsupported_parameter")
    assert await rig.run(job, probing=[job]) is End.OVER
    assert rig.states() == {"dead_lettered": 50}


async def test_after_answers_it_takes_twenty_in_a_row(rig: Rig):
    use(rig, lambda text, _path, _at: error(400, "bad") if 20 <= int(text.split()[1]) < 35 else OK)
    job = rig.submit(chats(60))
    await rig.run(job, concurrency=1)
    assert rig.states() == {"completed": 45, "dead_lettered": 15}
    assert rig.pauses() == []


async def test_rows_that_fail_one_in_three_hold_nothing_up_while_answers_are_slow(rig: Rig):
    slow: Said = (30.0, 200, ANSWER)
    use(rig, lambda text, _path, _at: error(400, "bad") if int(text.split()[1]) % 3 == 0 else slow)
    job = rig.submit(chats(300))
    await rig.run(job)
    assert rig.states() == {"completed": 200, "dead_lettered": 100}
    assert now() < 400.0


@pytest.mark.parametrize(
    "said",
    [
        (0.002, 404, b"404 page not found"),
        (0.002, 302, b""),
        (0.002, 405, b""),
        (0.002, 200, b"<html><title>Maintenance</title></html>"),
        (0.002, 200, b""),
        (0.002, 502, b"<html></html>"),
    ],
    ids=["404", "302", "405", "page", "nothing", "502"],
)
async def test_a_gateway_without_a_backend_is_an_outage(rig: Rig, said: Said):
    use(rig, lambda _text, _path, at: said if 5.0 <= at < 15.0 else (0.05, 200, ANSWER))
    job = rig.submit(chats(3_000))
    assert await rig.run(job, concurrency=16) is End.OVER
    assert rig.states() == {"completed": 3_000}
    assert sum(row["spent"] for row in rig.rows()) <= 16


async def test_an_interrupted_run_gives_back_what_is_undecided(rig: Rig):
    use(rig, lambda text, _path, _at: error(403, "blocked") if text == "row 0" else (100.0, 200, ANSWER))
    job = rig.submit(chats(5))
    worker = rig.worker()
    running = asyncio.create_task(worker.run([job.id]))
    await asyncio.sleep(5.0)
    worker.stop()
    assert await running is End.DRAINED
    assert rig.states() == {"pending": 5}
    assert {row["spent"] for row in rig.rows()} == {0}
