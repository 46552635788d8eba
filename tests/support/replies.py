"""Replies as providers send them, for tests of what they mean."""

import json
from collections.abc import Mapping

from batcher.domain.exchange import Reply
from batcher.domain.outcomes import Failure, Outcome, Success
from batcher.policy.classify.classify import ReplyContext, classify

#: 2026-11-22T12:00:00Z
NOON = 1_795_348_800 * 1_000_000
CHAT = "/v1/chat/completions"
HOST = "api.openai.com"
FRESH = ReplyContext(host=HOST, endpoint_answered=False, route_answered=False)
BUSY = ReplyContext(host=HOST, endpoint_answered=True, route_answered=True)
#: The endpoint has answered, this lane not since the request was sent.
KNOWN = ReplyContext(host=HOST, endpoint_answered=True, route_answered=False)


def reply(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply; a body that is bytes goes as it is, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if raw.startswith(b"<") else "application/json"
    return Reply(
        status=status,
        headers={"content-type": kind, **(headers or {})},
        body=raw,
        sent_at=NOON - 1_000_000,
        ended_at=NOON,
        latency_us=1_000_000,
    )


def judged(
    status: int,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    path: str = CHAT,
    context: ReplyContext = KNOWN,
) -> Outcome:
    return classify(reply(status, body, headers), path=path, context=context)


def failure(
    status: int,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    path: str = CHAT,
    context: ReplyContext = KNOWN,
) -> Failure:
    outcome = judged(status, body, headers, path=path, context=context)
    assert isinstance(outcome, Failure), outcome
    return outcome


def success(body: object, *, path: str = CHAT, headers: Mapping[str, str] | None = None) -> Success:
    outcome = judged(200, body, headers, path=path)
    assert isinstance(outcome, Success), outcome
    return outcome


def openai_error(
    code: object = None, kind: object = None, message: str = "No.", param: str | None = None
) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic_error(kind: str, message: str = "No.", error_code: str | None = None) -> dict[str, object]:
    error: dict[str, object] = {"type": kind, "message": message}
    if error_code:
        error["details"] = {"error_code": error_code}
    return {"type": "error", "error": error, "request_id": "req_011"}


def google_error(
    code: int, status: str, *details: Mapping[str, object], message: str = "No."
) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def openrouter_error(code: int, message: str = "No.", **metadata: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "user_1"}


def mistral_error(kind: str, code: str | None = None, message: object = "No.") -> dict[str, object]:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def chat_reply(
    content: object = "42", finish_reason: object = "stop", usage: object = None, **message: object
) -> dict[str, object]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1763800000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish_reason,
            }
        ],
        "usage": usage or {"prompt_tokens": 31, "completion_tokens": 17, "total_tokens": 48},
    }
