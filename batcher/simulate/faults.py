"""Behaviour on demand: a row says in `metadata.simulate` what shall become of it, so a job file can show failures.

{"fail_times": 2, "status": 500}             two failures, then the answer; without fail_times: for ever
{"refuse_times": 1, "retry_after": 2}        one 429 that says "in 2 seconds", then the answer
{"status": 400, "code": "context_length_exceeded"}, {"code": "insufficient_quota"}, {"html": 502}
{"reset": true}, {"cut": true}, {"error_in_200": true}, {"no_choices": true}, {"hang": 30}
{"finish_reason": "content_filter"}
"""

from enum import Enum, auto
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from batcher.simulate.bodies import Body, JsonObject
from batcher.simulate.catalogue import REFUSED, SERVER_FAULT, Known, by_code, by_status
from batcher.simulate.draws import number, share
from batcher.simulate.problems import Problem, bad_request, retry_headers

Status = Annotated[int, Meta(ge=400, le=599)]
Seconds = Annotated[float, Meta(ge=0)]
Times = Annotated[int, Meta(ge=0)]


class Direction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `metadata.simulate` may say."""

    #: The status and code of an error reply; either implies the other.
    status: Status | None = None
    code: str | None = None
    message: str | None = None
    #: Only the first so many sendings of this body fail; None: all of them.
    fail_times: Times | None = None
    #: Before anything else so many sendings are refused with a 429.
    refuse_times: Times = 0
    #: Seconds that an error reply names in `retry-after`.
    retry_after: Seconds | None = None
    #: Seconds to wait before whatever happens.
    hang: Seconds = 0.0
    #: The connection breaks before the reply, or in the middle of it.
    reset: bool = False
    cut: bool = False
    #: A proxy's error page with this status.
    html: Status | None = None
    error_in_200: bool = False
    no_choices: bool = False
    finish_reason: str | None = None

    @property
    def asked(self) -> bool:
        """Whether it asks for anything at all."""
        return self != _NOTHING


class Manner(Enum):
    """How a reply is put on the wire."""

    WHOLE = auto()
    #: Half of the body, then the connection closes.
    CUT = auto()
    #: The connection breaks before a byte.
    RESET = auto()


class Fault(Struct, frozen=True, kw_only=True):
    """What becomes of one sending. Without a problem, a page or a change the answer goes out as it is."""

    problem: Problem | None = None
    #: Status of an HTML page that takes the reply's place.
    page: int | None = None
    manner: Manner = Manner.WHOLE
    hang: float = 0.0
    error_in_200: bool = False
    no_choices: bool = False
    finish_reason: str | None = None


_NOTHING = Direction()
_ANSWERED = Fault()


def direction_of(body: Body) -> Direction | Problem:
    """What the body's `metadata.simulate` asks for, or a 400 that says what cannot be asked for."""
    wanted = (body.metadata or {}).get("simulate")
    if wanted is None:
        return _NOTHING
    try:
        return msgspec.convert(wanted, Direction)
    except msgspec.ValidationError as error:
        message = (
            f"metadata.simulate is not understood: {error}. It takes {', '.join(Direction.__struct_fields__)}."
        )
        return bad_request(message, code="invalid_value", param="metadata.simulate")


def fault_of(direction: Direction, seen: int) -> Fault:
    """What becomes of a sending of which `seen` were let in before."""
    if seen < direction.refuse_times:
        problem = _problem(REFUSED, direction, status=REFUSED.status)
        return Fault(problem=problem, hang=direction.hang)
    failed_before = seen - direction.refuse_times
    if direction.fail_times is not None and failed_before >= direction.fail_times:
        return Fault(hang=direction.hang)
    return _directed(direction)


def drawn_fault(share_failing: float, seed: int, key: bytes, seen: int) -> Fault:
    """A failure for `share_failing` of all sendings, the same in every run: one of 500, 502 and 503."""
    if share_failing == 0 or share(seed, key, seen, "fail") >= share_failing:
        return _ANSWERED
    match number(seed, key, seen, "status") % 3:
        case 0:
            return Fault(problem=_problem(by_status(500), _NOTHING, status=500))
        case 1:
            return Fault(page=502)
        case _:
            return Fault(problem=_problem(by_status(503), _NOTHING, status=503))


def page(status: int) -> bytes:
    """What a proxy says in place of the provider."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()


def changed(fault: Fault, answer: JsonObject) -> JsonObject:
    """The answer with what the fault does to it; chat, completions and responses each in their own shape."""
    if fault.error_in_200:
        return {"error": {"message": "The upstream failed.", "type": "server_error", "param": None, "code": 502}}
    if fault.no_choices:
        answer = {**answer, ("output" if answer.get("object") == "response" else "choices"): []}
    if fault.finish_reason is not None:
        answer = _finished(answer, fault.finish_reason)
    return answer


def _directed(direction: Direction) -> Fault:
    manner = Manner.RESET if direction.reset else Manner.CUT if direction.cut else Manner.WHOLE
    return Fault(
        problem=_asked_problem(direction),
        page=direction.html,
        manner=manner,
        hang=direction.hang,
        error_in_200=direction.error_in_200,
        no_choices=direction.no_choices,
        finish_reason=direction.finish_reason,
    )


def _asked_problem(direction: Direction) -> Problem | None:
    known = _asked(direction)
    return None if known is None else _problem(known, direction, status=direction.status or known.status)


def _asked(direction: Direction) -> Known | None:
    if direction.code is not None:
        return by_code(direction.code, direction.status)
    if direction.status is not None:
        return by_status(direction.status)
    return SERVER_FAULT if direction.fail_times and not _names_a_fault(direction) else None


def _names_a_fault(direction: Direction) -> bool:
    flags = (direction.reset, direction.cut, direction.html, direction.error_in_200, direction.no_choices)
    return any(flags) or direction.finish_reason is not None


def _problem(known: Known, direction: Direction, *, status: int) -> Problem:
    headers = {} if direction.retry_after is None else retry_headers(direction.retry_after)
    message = direction.message or known.message
    return Problem(status=status, kind=known.kind, code=known.code, message=message, headers=headers)


def _finished(answer: JsonObject, reason: str) -> JsonObject:
    if answer.get("object") == "response":
        return {**answer, "status": "incomplete", "incomplete_details": {"reason": reason}}
    choices = [{**choice, "finish_reason": reason} for choice in answer.get("choices", [])]
    return {**answer, "choices": choices}
