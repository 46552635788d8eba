"""Faults on demand: a row requests a behaviour in `metadata.simulate`, so a job file can demonstrate failures.

{"fail_times": 2, "status": 500}             two failures, then the answer; without fail_times, it always fails
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
from batcher.simulate.catalogue import REFUSED, SERVER_FAULT, KnownError, by_code, by_status
from batcher.simulate.draws import number, share
from batcher.simulate.problems import Problem, bad_request, retry_headers

Status = Annotated[int, Meta(ge=400, le=599)]
Seconds = Annotated[float, Meta(ge=0)]
Times = Annotated[int, Meta(ge=0)]


class Direction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of `metadata.simulate`."""

    #: The status and code of an error reply; either implies the other.
    status: Status | None = None
    code: str | None = None
    message: str | None = None
    #: How many of the first sendings of this body fail; None: all.
    fail_times: Times | None = None
    #: How many sendings are rejected with a 429 before anything else happens.
    refuse_times: Times = 0
    #: Seconds in the `retry-after` of an error reply.
    retry_after: Seconds | None = None
    #: Seconds to wait before the reply, or before the connection breaks.
    hang: Seconds = 0.0
    #: The connection breaks before the reply, or in the middle of it.
    reset: bool = False
    cut: bool = False
    #: Reply with a proxy's HTML error page of this status.
    html: Status | None = None
    error_in_200: bool = False
    no_choices: bool = False
    finish_reason: str | None = None

    @property
    def asked(self) -> bool:
        """Return whether any fault is requested."""
        return self != _NOTHING


class Manner(Enum):
    """How a reply is transmitted."""

    WHOLE = auto()
    #: Half of the body is sent, then the connection is closed.
    CUT = auto()
    #: The connection is reset before a byte is sent.
    RESET = auto()


class Fault(Struct, frozen=True, kw_only=True):
    """What happens to one sending. Without a problem, a page or a change, the answer is sent unchanged."""

    problem: Problem | None = None
    #: Status of an HTML page that replaces the reply.
    page: int | None = None
    manner: Manner = Manner.WHOLE
    hang: float = 0.0
    error_in_200: bool = False
    no_choices: bool = False
    finish_reason: str | None = None


_NOTHING = Direction()
_ANSWERED = Fault()


def direction_of(body: Body) -> Direction | Problem:
    """Decode the body's `metadata.simulate`; return a 400 that lists the valid fields if it is invalid."""
    wanted = (body.metadata or {}).get("simulate")
    if wanted is None:
        return _NOTHING
    try:
        return msgspec.convert(wanted, Direction)
    except msgspec.ValidationError as error:
        message = (
            f"metadata.simulate is invalid: {error}. Its fields are {', '.join(Direction.__struct_fields__)}."
        )
        return bad_request(message, code="invalid_value", param="metadata.simulate")


def fault_of(direction: Direction, seen: int) -> Fault:
    """Return what happens to a sending, if `seen` sendings of the same body were admitted before."""
    if seen < direction.refuse_times:
        problem = _problem(REFUSED, direction, status=REFUSED.status)
        return Fault(problem=problem, hang=direction.hang)
    failed_before = seen - direction.refuse_times
    if direction.fail_times is not None and failed_before >= direction.fail_times:
        return Fault(hang=direction.hang)
    return _directed(direction)


def drawn_fault(share_failing: float, seed: int, key: bytes, seen: int) -> Fault:
    """Return a failure (500, 502 or 503) for a share of all sendings; the draw is the same in every run."""
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
    """Return the HTML error page of a proxy."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()


def changed(fault: Fault, answer: JsonObject) -> JsonObject:
    """Apply the fault to the answer of a chat, a completion or a response, each in its own format."""
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


def _asked(direction: Direction) -> KnownError | None:
    if direction.code is not None:
        return by_code(direction.code, direction.status)
    if direction.status is not None:
        return by_status(direction.status)
    return SERVER_FAULT if direction.fail_times and not _names_a_fault(direction) else None


def _names_a_fault(direction: Direction) -> bool:
    flags = (direction.reset, direction.cut, direction.html, direction.error_in_200, direction.no_choices)
    return any(flags) or direction.finish_reason is not None


def _problem(known: KnownError, direction: Direction, *, status: int) -> Problem:
    headers = {} if direction.retry_after is None else retry_headers(direction.retry_after)
    message = direction.message or known.message
    return Problem(status=status, kind=known.kind, code=known.code, message=message, headers=headers)


def _finished(answer: JsonObject, reason: str) -> JsonObject:
    if answer.get("object") == "response":
        return {**answer, "status": "incomplete", "incomplete_details": {"reason": reason}}
    choices = [{**choice, "finish_reason": reason} for choice in answer.get("choices", [])]
    return {**answer, "choices": choices}
