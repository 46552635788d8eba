"""Turns a reply or a transport fault into an outcome. The rules are a table in `rules.py`."""

import re
import traceback
from collections.abc import Mapping
from typing import Final, assert_never

from msgspec.structs import replace

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.outcomes import Failure, Outcome, Success, Usage
from batcher.domain.states import FailureKind, FaultKind
from batcher.policy.classify import error_codes
from batcher.policy.classify.answers import has_known_form, outcome_holds_nothing, read_answer
from batcher.policy.classify.error_body import (
    SUCCESS,
    Evidence,
    error_beside_no_answer,
    evidence_from,
    says_error,
    unwrapped,
)
from batcher.policy.classify.failures import Case, ReplyContext, named, pause_for_host
from batcher.policy.classify.rules import first_match
from batcher.policy.lenient_json import NOT_JSON, read_json
from batcher.policy.usage import sent_tier, usage_of
from batcher.policy.wording.account_trouble import Trouble, account_trouble
from batcher.policy.wording.limit_words import says_busy, says_rate_limited
from batcher.policy.wording.token_overflow import exceeds_window

__all__ = ["ReplyContext", "classify", "internal_error"]

#: The code of a row that our own code failed on.
INTERNAL_ERROR: Final = "internal_error"
_KEPT_TRACE: Final = 1_500
_OK: Final = 200
#: Statuses at which these sentences are read.
_STATUS_OF_TROUBLE: Final[Mapping[Trouble | None, int]] = {
    Trouble.NO_CREDIT: 429,
    Trouble.SPEND_CAP: 429,
    Trouble.SUSPENDED: 403,
    Trouble.BAD_KEY: 401,
    Trouble.UNKNOWN_MODEL: 404,
}
_ERROR_STATUS: Final = re.compile(r"[45][0-9][0-9]")


def classify(result: Reply | TransportFault, *, path: str, context: ReplyContext, request: bytes = b"") -> Outcome:
    """Return the outcome of one attempt. `path` is the request's, under `/v1/`, and `request` its body."""
    # On the path of every request: `isinstance` costs a sixth of a match over classes.
    if isinstance(result, Reply):
        outcome = _of_reply(result, path, context, request)
    else:
        failure = _of_fault(result)
        is_host = result.unknown_host and not context.endpoint_answered
        outcome = pause_for_host(failure) if is_host else failure
    tier = sent_tier(request, path)
    return outcome if tier is None else replace(outcome, usage=replace(outcome.usage, tier_sent=tier))


def _of_reply(reply: Reply, path: str, context: ReplyContext, request: bytes) -> Outcome:
    document = read_json(reply.body)
    if reply.status != _OK and reply.status not in SUCCESS:
        return _of_error(reply, evidence_from(reply, document), context, request)
    if not isinstance(document, dict) or says_error(document):
        return _of_odd_success(reply, document, path, context)
    outcome = read_answer(document, path, request)
    if isinstance(outcome, Success) or not outcome_holds_nothing(outcome):
        return outcome
    error = error_beside_no_answer(document)
    return outcome if error is None else _of_inner_error(reply, error, context, outcome.usage)


def internal_error(error: Exception) -> Failure:
    """Return the outcome of a reply on which our own code failed: a dead letter that keeps the trace."""
    trace = "".join(traceback.format_exception(error))
    message = f"batcher failed on this reply: {type(error).__name__}\n{trace[-_KEPT_TRACE:]}"
    return Failure(kind=FailureKind.PERMANENT, code=INTERNAL_ERROR, message=message)


def _of_fault(fault: TransportFault) -> Failure:
    match fault.kind:
        case FaultKind.REPLY_TOO_LARGE:
            kind = FailureKind.PERMANENT
        case (
            FaultKind.DNS
            | FaultKind.REFUSED
            | FaultKind.TLS
            | FaultKind.CONNECT_TIMEOUT
            | FaultKind.TIMEOUT
            | FaultKind.RESET
            | FaultKind.STALE_CONNECTION
            | FaultKind.PROTOCOL
            | FaultKind.LOCAL
        ):
            kind = FailureKind.TRANSIENT
        case _:
            assert_never(fault.kind)
    return Failure(kind=kind, code=fault.kind.value, message=fault.message)


def _of_error(reply: Reply, evidence: Evidence, context: ReplyContext, request: bytes = b"") -> Failure:
    case = Case(evidence=evidence, context=context, now_us=reply.ended_at, request=request)
    return first_match(case).outcome(case)


def _of_odd_success(reply: Reply, document: object, path: str, context: ReplyContext) -> Outcome:
    """Judge a 2xx with an error by the status that the error stands for, and one that is no object as it is.

    On a path whose form is not known, such as a reranker's list, any JSON is an answer.
    """
    root = unwrapped(document)
    if isinstance(root, dict) and says_error(root):
        return _of_inner_error(reply, document, context, usage_of(root))
    if document is not NOT_JSON and not has_known_form(path):
        return Success(usage=Usage())
    return _of_error(reply, evidence_from(reply, document), context)


def _of_inner_error(reply: Reply, document: object, context: ReplyContext, usage: Usage) -> Failure:
    """Judge an error inside a 2xx by the status that it stands for. What was billed is kept."""
    evidence = evidence_from(reply, document)
    outcome = _of_error(reply, replace(evidence, status=_status_meant(evidence)), context)
    return replace(outcome, usage=usage)


def _status_meant(evidence: Evidence) -> int:
    """Return the status that an error stands for: OpenRouter's codes are statuses, others are known by name.

    Then its words count. An unknown one counts as a server fault, which may pass.
    """
    if _ERROR_STATUS.fullmatch(evidence.code):
        return int(evidence.code)
    by_name = (
        (error_codes.AS_BAD_REQUEST, 400),
        (error_codes.AS_BAD_KEY, 401),
        (error_codes.MODEL | error_codes.NOT_FOUND, 404),
        (error_codes.AS_TOO_MANY, 429),
        (error_codes.OVERLOADED, 503),
    )
    found = next((status for names, status in by_name if named(evidence, names)), None)
    return found or _status_in_words(evidence)


def _status_in_words(evidence: Evidence) -> int:
    trouble = _STATUS_OF_TROUBLE.get(account_trouble(evidence.message))
    if trouble is not None:
        return trouble
    if exceeds_window(evidence.message, at_fault=True):
        return 400
    texts = (evidence.code, evidence.type, evidence.message)
    if says_rate_limited(*texts):
        return 429
    return 503 if says_busy(*texts) else 500
