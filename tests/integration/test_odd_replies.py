"""Whole runs against replies that public bug reports show: what becomes of the rows (docs/providers.md)."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file, line
from tests.support.programs import rows_of
from tests.support.talking import Talks, talking

pytestmark = pytest.mark.usefixtures("folder")


def said(status: int, document: object, *headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = [f"HTTP/1.1 {status} Odd", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def chose(message: object, reason: str = "stop") -> dict[str, object]:
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason}]}


ANSWER = said(200, chose({"role": "assistant", "content": "42"}))
_SOON = "Retry-After: 0.1"
_QUOTA = {
    "code": 429,
    "message": "You exceeded your current quota.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.1s"}],
}

#: What passes by itself. The reports: docs/providers.md.
REFUSALS = {
    "a quota at 403": said(403, {"statusCode": 403, "message": "Out of call volume quota."}, _SOON),
    "throttled at 400": said(400, {"__type": "ThrottlingException", "message": "Rate exceeded"}, _SOON),
    "overloaded at 500": said(
        500, {"type": "error", "error": {"type": "api_error", "message": "Overloaded"}}, _SOON
    ),
    "a text in a 200": said(200, {"error": "Too many requests, try again in 100 ms"}),
    "quoted by a gateway": said(429, {"error": {"message": json.dumps({"error": _QUOTA}), "code": 429}}),
    "with units": said(429, {"error": {"message": "No."}}, "Retry-After: 0.1s"),
    "in the body": said(429, {"title": "Error 1015", "status": 429, "retry_after": 0.1}),
    "in Latin-1": said(429, '{"error": {"message": "dépassé", "code": "rate_limit_exceeded"}}'.encode("latin-1")),
}


def at_first(replies: dict[str, bytes], times: int) -> tuple[Talks, Counter[str]]:
    """A server that gives each row its odd reply so many times and then an answer; and the sends of each row."""
    sends: Counter[str] = Counter()
    lock = threading.Lock()

    def talks(body: bytes, say: Callable[[bytes], None]) -> None:
        name = json.loads(body)["messages"][0]["content"]
        with lock:
            sends[name] += 1
            is_odd = sends[name] <= times
        say(replies[name] if is_odd else ANSWER)

    return talks, sends


def test_a_limit_uses_no_attempt_however_it_is_said() -> None:
    file = job_file(Path("j.jsonl"), *(line(name) for name in REFUSALS))
    talks, sends = at_first(REFUSALS, 2)
    with talking(talks) as url:
        called = batcher("run", file, "--base-url", url, "--max-attempts", 2, "-q")
    assert called.code == 0, called
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == list(REFUSALS)
    assert set(sends.values()) == {3}


_FREE_TIER = (
    "* Quota exceeded for metric: generate_content_free_tier_requests, limit: 0, model: g\nPlease retry in 9s."
)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (said(429, {"error": {"code": 429, "message": _FREE_TIER}}), "the plan allows no requests for this model"),
        (said(429, {"error": {"message": json.dumps({"error": {**_QUOTA, "message": _FREE_TIER}})}}), "the plan"),
        (said(403, {"error": {"code": "insufficient_user_quota", "message": "No."}}), "add credit"),
    ],
)
def test_what_no_wait_helps_against_pauses_with_its_fix(reply: bytes, says: str) -> None:
    file = job_file(Path("j.jsonl"), *(line(f"r{number}") for number in range(3)))
    with talking(lambda _, say: say(reply)) as url:
        called = batcher("run", file, "--base-url", url)
    assert called.code == 4, called
    assert says in called.err + called.out


@pytest.mark.parametrize(
    ("reply", "path", "code"),
    [
        (
            chose({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
            "chat",
            "empty_answer",
        ),
        (chose({"content": '{"message": "Too many tokens"}'}, "error_finish"), "chat", "generation_failed"),
        ({"data": [{"index": 0, "embedding": [None, None]}]}, "embeddings", "null_embedding"),
        (b'{"data": [{"index": 0, "embedding": [NaN, NaN]}]}', "embeddings", "null_embedding"),
    ],
)
def test_what_holds_no_answer_is_a_dead_letter_that_says_so(reply: object, path: str, code: str) -> None:
    row = line("a") if path == "chat" else line("a", {"model": "m", "input": "x"}, url="/v1/embeddings")
    with talking(lambda _, say: say(said(200, reply))) as url:
        called = batcher("run", job_file(Path("j.jsonl"), row), "--base-url", url, "--max-attempts", 1, "-q")
    assert called.code == 3, called
    (dead,) = rows_of("j.errors.jsonl")
    assert dead["error"]["code"] == code
