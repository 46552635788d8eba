"""Answers that are not in the requested format: each attempt is billed, so there are few."""

import asyncio
import json
from typing import Any

import pytest

from batcher.domain.exchange import Reply
from batcher.domain.outcomes import Failure, Success
from batcher.worker.worker import End
from tests.support.replies import chat_reply
from tests.support.workers import Rig

FORMAT = {"response_format": {"type": "json_object"}}


class Prose:
    """A model that never answers in JSON."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.sent = 0

    async def send(self, **_: Any) -> Reply:
        self.sent += 1
        now = self._rig.clock.now()
        body = json.dumps(chat_reply("Of course! Here it is.")).encode()
        return Reply(status=200, headers={}, body=body, sent_at=now, ended_at=now + 1, latency_us=1)


@pytest.fixture
def prose(rig: Rig) -> Prose:
    made = Prose(rig)

    async def sender(_: object) -> Prose:
        return made

    rig.senders = sender
    return made


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **FORMAT, **more}


@pytest.mark.parametrize(
    ("body", "sent"),
    [(asked(), 2), (asked(temperature=0.7), 2), (asked(temperature=0), 1), (asked(seed=7), 1)],
)
async def test_a_format_that_is_not_kept_costs_two_attempts_and_one_where_nothing_is_sampled(
    rig: Rig, prose: Prose, body: dict[str, Any], sent: int
) -> None:
    job = rig.submit([body])
    assert await rig.run(job) is End.OVER
    assert (rig.states(), prose.sent) == ({"dead_lettered": 1}, sent)
    assert rig.rows()[0]["failure_code"] == "invalid_output"


@pytest.mark.usefixtures("prose")
async def test_a_run_that_is_stopped_while_an_answer_is_validated_delivers_it_unchecked(rig: Rig) -> None:
    began = asyncio.Event()

    class Endless:
        async def validate(self, success: Success, **_: Any) -> Success | Failure:
            began.set()
            await asyncio.Event().wait()
            return success

    job = rig.submit([asked()])
    worker = rig.worker(validator=Endless())
    running = asyncio.create_task(worker.run([job.id]))
    await began.wait()
    worker.stop()
    assert await running is End.DRAINED
    assert rig.states() == {"completed": 1}
    assert rig.rows()[0]["marks"] == 4


@pytest.mark.usefixtures("prose")
async def test_a_fault_of_our_own_costs_its_row_and_not_the_run(rig: Rig) -> None:
    class Broken:
        async def validate(self, success: Success, **_: Any) -> Success | Failure:
            raise ZeroDivisionError("in here")

    job = rig.submit([asked(), asked(temperature=0.7)], validate_output=True)
    worker = rig.worker(validator=Broken())
    assert await worker.run([job.id]) is End.OVER
    assert {row["failure_code"] for row in rig.rows()} == {"internal_error"}
    (first, _) = rig.attempts()
    assert "ZeroDivisionError" in first["message"]
    assert "in here" in first["message"]


async def test_an_answer_taken_without_validation_is_sent_for_again_by_a_job_that_validates(
    rig: Rig, prose: Prose
) -> None:
    plain = {"model": "m", "messages": [{"role": "user", "content": 'what is "format"?'}]}
    assert await rig.run(rig.submit([asked(), plain], name="lax", validate_output=False)) is End.OVER
    alike = rig.submit([asked(), plain], name="alike", validate_output=False)
    assert await rig.run(alike) is End.OVER
    assert (rig.states(), prose.sent) == ({"completed": 4}, 2)
    strict = rig.submit([asked(), plain], name="strict")
    assert await rig.run(strict) is End.OVER
    # The plain row asks for no format, so it is served; the other is sent, twice, and refused.
    assert (rig.states(strict), prose.sent) == ({"dead_lettered": 1, "completed": 1}, 4)
    assert [row["failure_code"] for row in rig.rows(strict)] == ["invalid_output", None]
