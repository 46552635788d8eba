"""The attempts of a bundle, without the text of their prompts unless it is requested."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from batcher.domain.ids import RequestId
from batcher.policy.privacy.prompt_scrubber import Prompt, prompt_of, without_quotations
from batcher.policy.privacy.request_shape import PUBLIC_WORDS
from batcher.policy.privacy.sanitize import sanitize_json
from batcher.services.monitor.status import timestamp
from batcher.store.reports.support import JobAttempt, RequestWithBodies

MOST_ATTEMPTS: Final = 2_000

#: The form of codes and request ids. Text in another form may be anything.
_NAME: Final = re.compile(r"[A-Za-z0-9._:/=+-]{1,100}")


#: Returns the bodies of a request, including those before a redrive.
Bodies = Callable[[RequestId], Sequence[bytes]]


def attempt_lines(tried: Sequence[JobAttempt], bodies: Bodies, *, with_content: bool) -> bytes:
    """Write one JSON line per attempt.

    Text that repeats the prompt is removed from messages unless content is requested.
    """
    records = (_line(attempt, bodies, with_content=with_content) for attempt in tried)
    lines = [sanitize_json(msgspec.json.encode(record)) for record in records]
    return b"".join(line + b"\n" for line in lines)


def content_members(
    asked: Sequence[RequestWithBodies], tried: Sequence[JobAttempt], *, most_bytes: int
) -> tuple[dict[str, bytes], list[str]]:
    """Return file names and contents.

    The bodies of these requests and the replies to their attempts; and what is left out.
    """
    members: dict[str, bytes] = {}
    room, passed_over = most_bytes, 0
    for each in asked:
        replies = {
            f"content/request-{each.request}.reply-{attempt.send}.txt": attempt.reply
            for attempt in (one.attempt for one in tried)
            if attempt.request_id == each.request and attempt.reply is not None
        }
        found = {f"content/request-{each.request}.body.json": each.body, **replies}
        size = sum(map(len, found.values()))
        if size > room:
            passed_over += 1
            continue
        members |= found
        room -= size
    left = [f"the content of {passed_over:,} requests: they are too large together"] if passed_over else []
    return members, left


def _line(sent: JobAttempt, bodies: Bodies, *, with_content: bool) -> dict[str, Any]:
    """Return one line. Ids and codes are kept if they have the form of ids and codes."""
    attempt = sent.attempt
    line = {
        "request": attempt.request_id,
        "line": sent.line,
        "attempt": attempt.send,
        "url": sent.url,
        "model": sent.model,
        "sent": timestamp(attempt.sent_at),
        "ended": timestamp(attempt.ended_at),
        "latency_seconds": None if attempt.sent_at is None else (attempt.ended_at - attempt.sent_at) / 1e6,
        "status": attempt.status,
        "kind": attempt.kind,
        "code": name_like(attempt.code),
        "message": attempt.message,
        "retry_after_seconds": None if attempt.retry_after_us is None else attempt.retry_after_us / 1e6,
        "provider_request_id": name_like(attempt.provider_request_id),
        "client_request_id": f"{sent.public_id}-{attempt.request_id}-{attempt.send}",
        "tokens": {"input": attempt.input_tokens, "output": attempt.output_tokens},
    }
    if with_content:
        return {**line, "custom_id": sent.custom_id}
    if attempt.message is not None:
        line["message"] = without_quotations(attempt.message, _prompt(sent, bodies))
    return line


def _prompt(sent: JobAttempt, bodies: Bodies) -> Prompt:
    keep = [*PUBLIC_WORDS, sent.model]
    return prompt_of(bodies(sent.attempt.request_id), more=[sent.custom_id], keep=keep)


def name_like(text: str | None) -> str | None:
    """Return a code or an id of the provider if it has the form of one. A prompt in its place does not."""
    return text if text is None or _NAME.fullmatch(text) else f"[{len(text)} characters, left out]"
