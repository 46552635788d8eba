"""From evidence to an outcome of a kind: the pieces that the rules put together."""

import re
from typing import Final

from msgspec import Struct

from batcher.domain.outcomes import Failure, PauseCause
from batcher.domain.states import FailureKind, PauseReason, PauseScope
from batcher.policy import codes
from batcher.policy.evidence import SUCCESS, Evidence
from batcher.policy.hints import retry_after_us, told_wait_us

_MOST_OF_A_RAW_REPLY: Final = 500
#: Statuses of a request that is wrong in itself: only there does a message about length mean the prompt's.
_REQUEST_AT_FAULT: Final = frozenset({400, 403, 413, 422})
_DIGITS: Final = re.compile(r"[0-9]+")


class Standing(Struct, frozen=True, kw_only=True):
    """What else is known when a reply comes back."""

    #: Whether the endpoint ever answered with a success in this run.
    endpoint_answered: bool
    #: Whether the lane answered another request since this one was sent.
    lane_answered: bool


class Case(Struct, frozen=True, kw_only=True):
    """A reply that is no answer, and what else is known."""

    evidence: Evidence
    standing: Standing
    #: UTC microseconds at which the reply was there.
    now_us: int


def named(evidence: Evidence, names: frozenset[str]) -> bool:
    """Whether the provider's code, type or detail is one of these, compared whole."""
    return not names.isdisjoint((evidence.code, evidence.type, evidence.error_code))


def exceeds_context(evidence: Evidence) -> bool:
    """Whether the prompt does not fit the model's window; by phrase where the provider has no code for it."""
    if named(evidence, codes.CONTEXT):
        return True
    said = evidence.message.lower()
    return evidence.status in _REQUEST_AT_FAULT and any(phrase in said for phrase in codes.CONTEXT_PHRASES)


def code_of(evidence: Evidence) -> str:
    """The provider's own code, else its type, else `http_<status>`.

    A code that only repeats a number says less than the type. A prompt too long for the window has one code, since
    half of the providers name it by a phrase alone.
    """
    if exceeds_context(evidence):
        return codes.CONTEXT_LENGTH
    if evidence.is_html:
        return "html_reply" if evidence.status in SUCCESS else f"http_{evidence.status}"
    names = (evidence.code, evidence.error_code, evidence.type)
    own = (name for name in names if name and not _DIGITS.fullmatch(name) and name not in codes.OURS)
    return next(own, f"http_{evidence.status}")


def message_of(evidence: Evidence) -> str:
    """What the provider said; OpenRouter keeps the words of the provider behind it apart."""
    said = evidence.message or f"HTTP {evidence.status} without a message"
    raw = evidence.metadata.get("raw")
    return f"{said}: {raw[:_MOST_OF_A_RAW_REPLY]}" if isinstance(raw, str) and raw else said


def refused(case: Case) -> Failure:
    """The lane cools down; nothing is spent."""
    return Failure(
        kind=FailureKind.RATE_LIMITED,
        code=code_of(case.evidence),
        message=message_of(case.evidence),
        retry_after_us=retry_after_us(case.evidence, case.now_us),
        restart_ramp=named(case.evidence, codes.RAMP),
    )


def transient(case: Case, *, most_attempts: int | None = None) -> Failure:
    """The request backs off and tries again."""
    return Failure(
        kind=FailureKind.TRANSIENT,
        code=code_of(case.evidence),
        message=message_of(case.evidence),
        retry_after_us=told_wait_us(case.evidence, case.now_us),
        most_attempts=most_attempts,
    )


def permanent(case: Case, *, code: str | None = None) -> Failure:
    """A dead letter."""
    return Failure(
        kind=FailureKind.PERMANENT, code=code or code_of(case.evidence), message=message_of(case.evidence)
    )


def blocked(case: Case, *, scope: PauseScope, reason: PauseReason, fix: str) -> Failure:
    """Sending stops until a person acts; the request goes back unspent."""
    message = message_of(case.evidence)
    return Failure(
        kind=FailureKind.BLOCKED,
        code=code_of(case.evidence),
        message=message,
        retry_after_us=told_wait_us(case.evidence, case.now_us),
        pause=PauseCause(scope=scope, reason=reason, message=message, fix=fix),
    )


def blocked_unless_answered(case: Case, *, reason: PauseReason, fix: str) -> Failure:
    """The lane pauses, unless it answered another request since: then it is this request that is at fault."""
    if case.standing.lane_answered:
        return permanent(case)
    return blocked(case, scope=PauseScope.LANE, reason=reason, fix=fix)
