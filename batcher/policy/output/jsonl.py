"""Result, error and job lines: one JSON document per line, around the provider's own bytes."""

import json
from typing import Final, NoReturn

import msgspec

from batcher.domain.requests import BadLine
from batcher.domain.states import AnswerMark
from batcher.policy.lenient_json import NOT_JSON, document_of, read_json

_UNMARKED: Final = AnswerMark(0)
_CANCELLED: Final = "cancelled"
_SPACES: Final = b" \t\r\n"
_encode: Final = msgspec.json.Encoder().encode
_skim: Final = msgspec.json.Decoder(msgspec.Raw).decode


def result_line(
    *,
    request_id_public: str,
    custom_id: str,
    status: int,
    provider_request_id: str | None,
    body: bytes,
    cached: bool,
    attempts: int,
    latency_us: int,
    answered_by: tuple[int, str] | None,
    marks: AnswerMark = _UNMARKED,
) -> bytes:
    """Return the line of an answered row. `answered_by` is (job, custom_id) of the row whose answer it shares."""
    return b'{"id": %b, "custom_id": %b, "response": %b, "error": null, "batcher": %b}\n' % (
        _encode(request_id_public),
        _encode(custom_id),
        _response(status, provider_request_id, body),
        _facts(cached=cached, attempts=attempts, latency_us=latency_us, answered_by=answered_by, marks=marks),
    )


def error_line(
    *,
    request_id_public: str,
    custom_id: str,
    status: int | None,
    provider_request_id: str | None,
    body: bytes | None,
    code: str | None,
    message: str | None,
    kind: str,
    cached: bool,
    attempts: int,
    latency_us: int,
    answered_by: tuple[int, str] | None,
) -> bytes:
    """Return the line of a dead letter.

    `status` is None if there was no reply; `attempts` is what the provider saw.
    """
    return b'{"id": %b, "custom_id": %b, "response": %b, "error": %b, "batcher": %b}\n' % (
        _encode(request_id_public),
        _encode(custom_id),
        b"null" if status is None else _response(status, provider_request_id, body),
        _error(code=code, message=message, kind=kind, attempts=attempts),
        _facts(cached=cached, attempts=attempts, latency_us=latency_us, answered_by=answered_by),
    )


def rejected_line(bad: BadLine, *, request_id_public: str) -> bytes:
    """Return the line for a line that `--skip-invalid` skipped: what is wrong, where, and its text, truncated."""
    facts = _facts(cached=False, attempts=0, latency_us=0, answered_by=None)
    return (
        b'{"id": %b, "custom_id": %b, "response": null, "error": %b, "batcher": %b, "line": %d, "text": %b}}\n'
        % (
            _encode(request_id_public),
            _encode(bad.custom_id or f"line-{bad.line}"),
            _error(code="invalid_line", message=bad.reason, kind="invalid", attempts=0),
            facts[:-1],
            bad.line,
            _encode(bad.text),
        )
    )


def cancelled_line(*, request_id_public: str, custom_id: str, attempts: int) -> bytes:
    """Return the line of a row that was cancelled before it was answered."""
    message = "the row was cancelled before it was answered"
    return b'{"id": %b, "custom_id": %b, "response": null, "error": %b, "batcher": %b}\n' % (
        _encode(request_id_public),
        _encode(custom_id),
        _error(code=_CANCELLED, message=message, kind=_CANCELLED, attempts=attempts),
        _facts(cached=False, attempts=attempts, latency_us=0, answered_by=None),
    )


def body_json(body: bytes | None) -> bytes:
    """Return a reply's body on one line: its own bytes if it is JSON, else a string; null if there is none."""
    if body is None:
        return b"null"
    if not _is_json(body):
        body = _rewritten(body)
    if b"\n" in body or b"\r" in body:
        # Within a JSON string a line break is escaped, so these are between tokens.
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body.strip(_SPACES)


def _rewritten(body: bytes) -> bytes:
    """Return as JSON what is not strict JSON: encoded again if a lenient reader reads it, else a string."""
    document = document_of(body)
    if _is_json(document):
        return document
    found = read_json(body)
    if found is NOT_JSON:
        return _encode(body.decode("utf-8", "replace"))
    return json.dumps(found, ensure_ascii=False).encode()


def _response(status: int, provider_request_id: str | None, body: bytes | None) -> bytes:
    return b'{"status_code": %d, "request_id": %b, "body": %b}' % (
        status,
        _encode(provider_request_id),
        body_json(body),
    )


def _error(*, code: str | None, message: str | None, kind: str, attempts: int) -> bytes:
    return b'{"code": %b, "message": %b, "kind": %b, "attempts": %d}' % (
        _encode(code),
        _encode(message),
        _encode(kind),
        attempts,
    )


def _facts(
    *,
    cached: bool,
    attempts: int,
    latency_us: int,
    answered_by: tuple[int, str] | None,
    marks: AnswerMark = _UNMARKED,
) -> bytes:
    facts = b'{"cached": %b, "attempts": %d, "latency_seconds": %b' % (
        b"true" if cached else b"false",
        attempts,
        _encode(latency_us / 1_000_000),
    )
    # Most answers have none, and to find that out by the loop takes two microseconds.
    for mark in marks or ():
        facts += b', "%b": true' % str(mark.name).lower().encode()
    if answered_by is None:
        return facts + b"}"
    job, custom_id = answered_by
    return facts + b', "answered_by": {"job": %d, "custom_id": %b}}' % (job, _encode(custom_id))


def _is_json(body: bytes) -> bool:
    """Check without building values. Half a surrogate pair, with which a cut answer may end, is JSON, too."""
    try:
        text = None if body.isascii() else body.decode()
    except UnicodeDecodeError:
        return False
    try:
        _skim(body)
    except (msgspec.DecodeError, RecursionError):
        return _is_lenient_json(body.decode() if text is None else text)
    return True


def _is_lenient_json(text: str) -> bool:
    """Return whether the standard library reads it: it accepts lone surrogate escapes, which msgspec does not."""
    try:
        json.loads(text, parse_constant=_no_constant, parse_int=len, parse_float=len)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def job_line(custom_id: str, path: str, body: bytes) -> bytes:
    """Return the job line with its end. The body keeps its bytes, except line breaks between tokens.

    Those become spaces.
    """
    if b"\n" in body or b"\r" in body:
        body = body.replace(b"\n", b" ").replace(b"\r", b" ")
    return b'{"custom_id": %b, "method": "POST", "url": %b, "body": %b}\n' % (
        _encode(custom_id),
        _encode(path),
        body,
    )
