"""Structured output is validated in a process: whatever a schema or an answer does to it costs one row's check."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from batcher.domain.outcomes import Failure, Success, Usage
from batcher.validator import child
from batcher.validator.process import ValidatorProcess

ANSWERED = Success(usage=Usage(input_tokens=1, output_tokens=2))
UNCHECKED = Success(usage=ANSWERED.usage, unchecked=True)
NODE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
    "$ref": "#/$defs/node",
}
EVIL = {"type": "string", "pattern": "^(a+)+$"}


async def validated(validator: ValidatorProcess, schema: object, answer: str) -> Success | Failure:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    request = json.dumps({"response_format": form}).encode()
    reply = json.dumps({"choices": [{"message": {"content": answer}}]}).encode()
    return await validator.validate(ANSWERED, request=request, reply=reply)


def nested(levels: int) -> str:
    return '{"next": ' * levels + "null" + "}" * levels


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's limit is its own constant; a program of the test's sets it lower."""
    start = subprocess.Popen

    def lowered(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        program = command[-1].replace(
            "; main()", "; import batcher.validator.child as c; c.CPU_SECONDS = 0.2; main()"
        )
        return start([*command[:-1], program], **options)

    monkeypatch.setattr(subprocess, "Popen", lowered)


async def test_answers_are_judged_as_in_this_process() -> None:
    async with ValidatorProcess() as validator:
        assert await validated(validator, {"type": "object"}, "{}") == ANSWERED
        flawed = await validated(validator, {"type": "object"}, "[]")
        assert isinstance(flawed, Failure)
        assert "is not of type 'object'" in flawed.message
        assert await validated(validator, {"type": "no such"}, "{}") == UNCHECKED


async def test_no_process_is_started_where_no_format_is_asked_for() -> None:
    async with ValidatorProcess() as validator:
        assert await validator.validate(ANSWERED, request=b'{"model": "m"}', reply=b"{}") == ANSWERED
        assert validator._process is None


async def test_an_answer_that_nests_deep_is_validated_and_one_without_end_is_not() -> None:
    async with ValidatorProcess() as validator:
        assert await validated(validator, NODE, nested(250)) == ANSWERED
        wrong = await validated(validator, NODE, '{"next": ' * 250 + "7" + "}" * 250)
        assert isinstance(wrong, Failure)
        assert await validated(validator, {"$ref": "#"}, "{}") == UNCHECKED
        assert await validated(validator, NODE, nested(20_000)) == UNCHECKED
        assert await validated(validator, NODE, nested(3)) == ANSWERED


@pytest.mark.usefixtures("quick")
async def test_a_check_that_never_ends_is_ended_while_the_loop_goes_on() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with ValidatorProcess() as validator:
        ticking = asyncio.create_task(tick())
        assert await validated(validator, EVIL, json.dumps("a" * 60 + "!")) == UNCHECKED
        ticking.cancel()
        assert ticks >= 5
        assert await validated(validator, EVIL, '"aaa"') == ANSWERED


@pytest.mark.usefixtures("quick")
async def test_a_schema_that_ends_the_child_again_and_again_is_not_tried_for_ever() -> None:
    async with ValidatorProcess() as validator:
        for _ in range(3):
            assert await validated(validator, EVIL, json.dumps("a" * 60 + "!")) == UNCHECKED
        assert await validated(validator, EVIL, '"aaa"') == UNCHECKED
        assert validator._process is None
        assert isinstance(await validated(validator, {"type": "object"}, "[]"), Failure)


async def test_many_at_once_get_each_their_own_verdict() -> None:
    async with ValidatorProcess() as validator:
        found = await asyncio.gather(*(validated(validator, {"maximum": 10}, str(number)) for number in range(40)))
    assert [isinstance(each, Success) for each in found] == [number <= 10 for number in range(40)]


async def test_a_child_that_is_killed_is_replaced() -> None:
    async with ValidatorProcess() as validator:
        await validated(validator, {}, "{}")
        assert validator._process is not None
        os.kill(validator._process.pid, signal.SIGKILL)
        validator._process.wait()
        assert await validated(validator, {}, "{}") == UNCHECKED
        assert await validated(validator, {}, "{}") == ANSWERED


async def test_a_check_that_is_cancelled_leaves_no_verdict_for_the_next() -> None:
    async with ValidatorProcess() as validator:
        await validated(validator, {}, "{}")
        waiting = asyncio.create_task(validated(validator, EVIL, json.dumps("a" * 60 + "!")))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert isinstance(await validated(validator, {"type": "object"}, "[]"), Failure)


async def test_where_no_process_can_be_started_answers_are_delivered_unchecked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    async with ValidatorProcess() as validator:
        assert await validated(validator, {"type": "object"}, "[]") == UNCHECKED


async def test_the_child_ends_with_its_parent() -> None:
    async with ValidatorProcess() as validator:
        await validated(validator, {}, "{}")
        running = validator._process
        assert running is not None
        assert validator._writer is not None
        validator._writer.close()
        assert await asyncio.to_thread(running.wait, 10) == 0


def test_the_limit_is_far_above_what_common_answers_take() -> None:
    assert 0.5 <= child.CPU_SECONDS <= 10


@pytest.mark.parametrize("limit", [300, 450, 800])
async def test_it_validates_also_where_memory_is_limited(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack of the child is as large as the limit allows (`ulimit -v`)."""
    start = subprocess.Popen

    def limited(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        shell = f'ulimit -v {limit * 1024}; exec "$0" "$@"'
        return start(["bash", "-c", shell, *command], **options)

    monkeypatch.setattr(subprocess, "Popen", limited)
    async with ValidatorProcess() as validator:
        assert await validated(validator, NODE, nested(20)) == ANSWERED
        assert isinstance(await validated(validator, NODE, "[]"), Failure)


@pytest.mark.parametrize("executable", [None, "", "/bin/cat", "/usr/bin/yes"])
async def test_where_no_interpreter_can_be_started_answers_are_unchecked(
    executable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    async with ValidatorProcess() as validator:
        for _ in range(5):
            assert await validated(validator, {"type": "object"}, "[]") == UNCHECKED
