"""A fuzz of replies, the whole way from bytes to a settlement and a result line: no reply ends a run.

FUZZ=20000 runs as many examples.
"""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batcher.domain.exchange import Reply
from batcher.domain.requests import Answered
from batcher.policy.output.jsonl import body_json
from batcher.store.reports import results
from batcher.worker.worker import End
from tests.support.replies import anthropic_error, chat_reply, google_error, openai_error
from tests.support.virtual_time import run_virtual
from tests.support.workers import Rig, open_rig

_EXAMPLES = int(os.environ.get("FUZZ", "60"))
fuzz = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

#: Virtual seconds.
_PATIENCE = 600.0
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_KNOWN = st.sampled_from(
    [
        chat_reply(),
        chat_reply("", "length"),
        chat_reply('{"a": 1}'),
        openai_error("rate_limit_exceeded", "tokens", "Limit 3, Used 3, Requested 9. Please try again in 2s."),
        openai_error("insufficient_quota"),
        anthropic_error("overloaded_error"),
        google_error(429, "RESOURCE_EXHAUSTED", {"retryDelay": "2s"}),
        {"base_resp": {"status_code": 1002}},
    ]
)
_NAMES = (
    "choices",
    "message",
    "content",
    "error",
    "code",
    "usage",
    "finish_reason",
    "data",
    "details",
    "metadata",
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A known reply with any value in any place."""
    document: Any = json.loads(json.dumps(draw(_KNOWN)))
    for _ in range(draw(st.integers(0, 2))):
        place = document
        while isinstance(place, dict) and place and draw(st.booleans()):
            inner = place[draw(st.sampled_from(sorted(place)))]
            inner = inner[0] if isinstance(inner, list) and inner else inner
            if not isinstance(inner, dict):
                break
            place = inner
        place[draw(st.sampled_from([*sorted(place), *_NAMES]))] = draw(_JSON)
    return json.dumps(document).encode("utf-8", "surrogatepass")


_BODIES = (
    mutated()
    | st.binary(max_size=200)
    | _JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"))
    | mutated().map(lambda body: body[: len(body) // 2])
    | st.sampled_from([b"[" * 50_000, b'{"a":' * 3_000 + b"1" + b"}" * 3_000, b"<html>", b"\xef\xbb\xbf{}"])
)
_HEADER_VALUES = st.text(st.characters(codec="latin-1"), max_size=30) | st.integers().map(str)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-reset",
            "x-should-retry",
            "x-request-id",
            "location",
            "date",
        ]
    ),
    _HEADER_VALUES,
    max_size=4,
)
_STATUSES = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 408, 413, 422, 424, 429, 500, 503, 529]
)
_REPLIES = st.lists(st.tuples(_STATUSES, _HEADERS, _BODIES), min_size=1, max_size=4)
_FORMATS = st.sampled_from(
    [
        {},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#"}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
    ]
)


class Says:
    """A sender that gives one reply after the other, and then the first again."""

    def __init__(self, rig: Rig, replies: list[tuple[int, dict[str, str], bytes]]) -> None:
        self._rig = rig
        self._replies = replies
        self._sent = 0

    async def send(self, **_: Any) -> Reply:
        status, headers, body = self._replies[self._sent % len(self._replies)]
        self._sent += 1
        now = self._rig.clock.now()
        return Reply(
            status=status, headers=headers, body=body, sent_at=now, ended_at=now + 1_000, latency_us=1_000
        )


@fuzz
@given(replies=_REPLIES, form=_FORMATS)
def test_whatever_comes_every_row_ends_or_waits_for_a_person(replies, form) -> None:
    async def play(rig: Rig) -> End:
        says = Says(rig, replies)

        async def sender(_: object) -> Says:
            return says

        rig.senders = sender
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **form}
        job = rig.submit([{**body, "seed": number} for number in range(3)], max_attempts=2, max_wait=60.0)
        worker = rig.worker()
        running = asyncio.create_task(worker.run([job.id]))
        await asyncio.wait({running}, timeout=_PATIENCE)
        # A reply may name a wait of days, which is obeyed.
        worker.stop()
        return await running

    with tempfile.TemporaryDirectory() as folder:
        rig = open_rig(Path(folder))
        try:
            end = run_virtual(play(rig))
            states = [row["state"] for row in rig.rows()]
            assert "claimed" not in states
            assert "pending" not in states or rig.pauses() or end is End.DRAINED
            assert all(row["failure_code"] != "internal_error" for row in rig.rows())
            with rig.database.read() as connection:
                for row in results.some(connection, [row["id"] for row in rig.rows()]):
                    body = row.body if isinstance(row, Answered) else row.reply
                    line = body_json(body)
                    assert b"\n" not in line
                    json.loads(line)
                    if isinstance(row, Answered):
                        msgspec.json.encode(json.loads(line, parse_int=float))
        finally:
            rig.database.close()
