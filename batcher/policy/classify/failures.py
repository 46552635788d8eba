"""The outcomes that the rules make from a reply: refusals, retries, dead letters, and pauses with their fixes."""

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.messages import Cause, Message
from batcher.domain.outcomes import Failure, PauseCause
from batcher.domain.states import FailureKind, PauseReason, PauseScope
from batcher.policy.classify import error_codes
from batcher.policy.classify.error_body import SUCCESS, Evidence
from batcher.policy.classify.refusal_cause import refusal_cause
from batcher.policy.classify.retry_after import retry_after_us, stated_wait_us
from batcher.policy.wording.account_trouble import other_address
from batcher.policy.wording.token_overflow import exceeds_window

_MOST_OF_A_RAW_REPLY: Final = 500
_MOST_OF_AN_ADDRESS: Final = 200
#: Statuses of a request that is wrong in itself: only with these does a message about length mean the prompt's.
_REQUEST_AT_FAULT: Final = frozenset({400, 403, 413, 422})
#: llama.cpp's older servers and some gateways report it so.
_SERVER_FAULT: Final = 500
_DIGITS: Final = re.compile(r"[0-9]+")


class ReplyContext(Struct, frozen=True, kw_only=True):
    """What else is known when a reply arrives."""

    #: Host of the endpoint: the same header means different limits at different providers.
    host: str
    #: Whether the endpoint has ever answered with a success, in this run or an earlier one.
    endpoint_answered: bool
    #: The same for the request's route: its path and model.
    route_answered: bool
    #: Where the key is, if a header of one's own carries it: "AZURE_KEY, which holds the header api-key".
    key_place: str = ""
    #: The variable that holds no key, so that none was sent; "" if one was.
    missing_key: str = ""


class Case(Struct, frozen=True, kw_only=True):
    """A reply that is not an answer, and what else is known."""

    evidence: Evidence
    context: ReplyContext
    #: UTC microseconds at which the reply arrived.
    now_us: int
    #: The body that was sent.
    request: bytes = b""


def named(evidence: Evidence, names: frozenset[str]) -> bool:
    """Return whether the provider's code, type or detail is one of these names, compared whole."""
    return not names.isdisjoint((evidence.code, evidence.type, evidence.error_code))


def exceeds_context(evidence: Evidence) -> bool:
    """Return whether the prompt exceeds the model's window; in words if the provider has no code for it."""
    if named(evidence, error_codes.CONTEXT):
        return True
    at_fault = evidence.status in _REQUEST_AT_FAULT
    asked = at_fault or (evidence.status == _SERVER_FAULT and not evidence.is_html)
    return asked and exceeds_window(message_of(evidence), at_fault=at_fault)


def code_of(evidence: Evidence) -> str:
    """Return the provider's own code, else its type, else `http_<status>`.

    A code that only repeats a number says less than the type. A prompt that exceeds the window always gets the
    same code, because half of the providers report it by a phrase alone.
    """
    if exceeds_context(evidence):
        return error_codes.CONTEXT_LENGTH
    if evidence.is_html:
        return "html_reply" if evidence.status in SUCCESS else f"http_{evidence.status}"
    names = (evidence.code, evidence.error_code, evidence.type)
    own = (name for name in names if name and not _DIGITS.fullmatch(name) and name not in error_codes.OURS)
    return next(own, f"http_{evidence.status}")


def message_of(evidence: Evidence) -> str:
    """Return what the provider said; OpenRouter keeps the message of the provider behind it separately."""
    said = evidence.message or f"HTTP {evidence.status} without a message"
    raw = evidence.metadata.get("raw")
    return f"{said}: {raw[:_MOST_OF_A_RAW_REPLY]}" if isinstance(raw, str) and raw else said


def refused(case: Case) -> Failure:
    """Make a refusal: the lane cools down, and no attempt is used."""
    code, message = code_of(case.evidence), message_of(case.evidence)
    return Failure(
        kind=FailureKind.RATE_LIMITED,
        code=code,
        message=message,
        cause=refusal_cause(code, message),
        retry_after_us=retry_after_us(case.evidence, case.now_us, host=case.context.host),
        restart_ramp=named(case.evidence, error_codes.RAMP),
    )


def transient(case: Case, *, most_attempts: int | None = None) -> Failure:
    """Make a transient failure: the request backs off and is retried."""
    return Failure(
        kind=FailureKind.TRANSIENT,
        code=code_of(case.evidence),
        message=message_of(case.evidence),
        retry_after_us=stated_wait_us(case.evidence, case.now_us),
        most_attempts=most_attempts,
        param=case.evidence.param,
    )


def outage(case: Case) -> Failure:
    """Make a transient failure of everything: something else answers in the API's place, such as a gateway."""
    return replace(transient(case), outage=True)


def permanent(case: Case, *, code: str | None = None) -> Failure:
    """Make a permanent failure: a dead letter."""
    return Failure(
        kind=FailureKind.PERMANENT,
        code=code or code_of(case.evidence),
        message=message_of(case.evidence),
        param=case.evidence.param,
    )


def blocked(case: Case, *, scope: PauseScope, reason: PauseReason, fix: Message) -> Failure:
    """Make a pause: sending stops until a person acts; the request goes back without using an attempt.

    It begins only if another row fails in the same way (`batcher/policy/retry/failure_run.py`); otherwise this
    row is at fault.
    """
    message = message_of(case.evidence)
    return Failure(
        kind=FailureKind.BLOCKED,
        code=code_of(case.evidence),
        message=message,
        retry_after_us=stated_wait_us(case.evidence, case.now_us),
        pause=PauseCause(scope=scope, reason=reason, message=message, fix=fix),
        param=case.evidence.param,
    )


def pause_for_credit(case: Case) -> Failure:
    """Pause: no prepaid credit, or billing is off."""
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.QUOTA, fix=Cause.NO_CREDIT())


def pause_for_spend_cap(case: Case) -> Failure:
    """Pause: a spending cap is reached; a person raises it, or it is reset with the month."""
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.SPEND_CAP, fix=Cause.SPEND_CAP())


def pause_for_key(case: Case) -> Failure:
    """Pause: the key is wrong or revoked, or its account is on hold."""
    if case.context.missing_key:
        name = case.context.missing_key
        fix = Cause.KEY_MISSING(variable=name)
        failure = blocked(case, scope=PauseScope.KEY, reason=PauseReason.CREDENTIALS, fix=fix)
        return _with_words(failure, f"No key was sent: {failure.message}")
    fix = Cause.KEY_REFUSED(place=case.context.key_place)
    return blocked(case, scope=PauseScope.KEY, reason=PauseReason.CREDENTIALS, fix=fix)


def _with_words(failure: Failure, message: str) -> Failure:
    pause = None if failure.pause is None else replace(failure.pause, message=message)
    return replace(failure, message=message, pause=pause)


def pause_for_host(failure: Failure) -> Failure:
    """Pause: no name server knows the host, and the endpoint has never answered, so its name is wrong."""
    cause = PauseCause(
        scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, message=failure.message, fix=Cause.UNKNOWN_HOST()
    )
    return replace(failure, kind=FailureKind.BLOCKED, pause=cause)


def pause_for_proxy(case: Case) -> Failure:
    """Pause: the proxy of the environment asks for a login (407).

    Only a proxy for an http:// base URL replies so. For https:// it refuses the tunnel, which is no reply.
    """
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=Cause.PROXY_LOGIN())


def pause_for_base_url(case: Case) -> Failure:
    """Pause: what answers at the address is not the API."""
    location = case.evidence.headers.get("location", "").partition("?")[0]
    fix = Cause.WRONG_BASE_URL(location=location[:_MOST_OF_AN_ADDRESS])
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=fix)


def pause_for_path(case: Case) -> Failure:
    """Pause: the endpoint answers, but not at this path."""
    return blocked(case, scope=PauseScope.ROUTE, reason=PauseReason.ENDPOINT, fix=Cause.OTHER_PATHS_ANSWER())


def pause_for_moved_api(case: Case) -> Failure:
    """Pause: the API has moved (410); the provider names the new address."""
    address = other_address(case.evidence.message) or ""
    fix = Cause.API_MOVED(address=address[:_MOST_OF_AN_ADDRESS])
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=fix)


def pause_for_model(case: Case) -> Failure:
    """Pause: the model is unknown there, or not available to this key."""
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.MODEL, fix=Cause.UNKNOWN_MODEL())


def pause_for_permission(case: Case) -> Failure:
    """Pause: the key has no permission for this."""
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.CREDENTIALS, fix=Cause.NO_PERMISSION())


def pause_for_zero_limit(case: Case) -> Failure:
    """Pause: the limit is zero rather than used up, so the plan does not include the model."""
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.MODEL, fix=Cause.ZERO_LIMIT())


def pause_for_refusal(case: Case) -> Failure:
    """Pause: the provider says that a retry will not help (429 with x-should-retry: false)."""
    return blocked(case, scope=PauseScope.LANE, reason=PauseReason.QUOTA, fix=Cause.REFUSED_FOR_GOOD())


def pause_for_page(case: Case) -> Failure:
    """Pause: a page instead of an answer from an endpoint that has answered before: a firewall, or a login."""
    return blocked(case, scope=PauseScope.ENDPOINT, reason=PauseReason.ENDPOINT, fix=Cause.PAGE_INSTEAD())
