"""Interprets an endpoint's replies for a diagnosis.

What a reply means is decided by `policy`; here it becomes a result.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.lanes import RateHints
from batcher.domain.messages import Cause, Words
from batcher.domain.outcomes import Failure, Outcome, Success
from batcher.domain.settings import Limits
from batcher.domain.states import FailureKind, FaultKind, PauseReason, PauseScope
from batcher.policy.classify.classify import ReplyContext, classify
from batcher.policy.classify.error_body import SUCCESS, read_evidence, unwrapped
from batcher.policy.lenient_json import NOT_JSON, read_json
from batcher.policy.privacy.sanitize import one_line
from batcher.services.diagnostics.doctor_report import CheckResult, bad, good, skipped, warning

CHAT: Final = "/v1/chat/completions"
MODELS: Final = "/v1/models"

#: Statuses by which a server says that it has no list of models, or shows it only to others.
_NO_LIST: Final = frozenset({400, 403, 404, 405, 501})
_NOT_THERE: Final = frozenset({404, 405})
_CLEAN: Final = frozenset({400, 422})
#: An answer of one token may be empty: the model was reasoning, or began with a space.
_ANSWERED_ALL_THE_SAME: Final = frozenset({"empty_answer"})
_NOT_FOR_CHAT: Final = re.compile(
    r"embed|whisper|tts|transcribe|dall-e|image|sora|video|moderation|realtime|audio|rerank|guard|babbage|davinci"
)
_NAMED: Final = 5
_MOST_MODELS: Final = 500
_WIDTH: Final = 300
_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id")

_FIX_BASE_URL: Final = Cause.WRONG_BASE_URL(location="")
_BY_FAULT: Final[Mapping[FaultKind, Words]] = {
    FaultKind.DNS: Cause.HOST_UNKNOWN(),
    FaultKind.REFUSED: Cause.CONNECTION_REFUSED(),
    FaultKind.TLS: Cause.TLS_FAILED(),
    FaultKind.CONNECT_TIMEOUT: (
        "a firewall may drop it, or a proxy may be needed (HTTPS_PROXY), or must not be used (NO_PROXY)"
    ),
    FaultKind.TIMEOUT: Cause.NO_REPLY_IN_TIME(),
    FaultKind.RESET: "a gateway in between cuts it off: see the server's or the proxy's log",
    FaultKind.STALE_CONNECTION: "try again",
    FaultKind.REPLY_TOO_LARGE: Cause.NOT_AN_API(),
    FaultKind.PROTOCOL: Cause.NOT_HTTP(),
    FaultKind.LOCAL: "raise the limit of open files (`ulimit -n 4096`), or free memory",
}
_BY_KIND: Final[Mapping[FailureKind, Words]] = {
    FailureKind.RATE_LIMITED: "the limit is used up: wait a minute, and check who else uses this key",
    FailureKind.TRANSIENT: "the provider has a problem: try again later, and see its status page",
    FailureKind.PERMANENT: Cause.SIMPLE_REQUEST_REJECTED(),
    FailureKind.BLOCKED: "see the provider's console",
}

Result = Reply | TransportFault


class ModelList(Struct, frozen=True, kw_only=True):
    """The result of asking for the models."""

    check: CheckResult
    models: tuple[str, ...] = ()
    #: Nothing further can succeed: no reply came, or the key is wrong.
    ends_here: bool = False


def fix_for_fault(kind: FaultKind | None) -> Words:
    """Return what to do if no reply came."""
    return _BY_FAULT[kind or FaultKind.REFUSED]


def read_models(result: Result, given: str | None, *, host: str, key_place: str = "") -> ModelList:
    """Send GET models. If a model is given, an endpoint may have no list."""
    if isinstance(result, TransportFault):
        return ModelList(check=bad(result.message, fix_for_fault(result.kind)), ends_here=True)
    names = _names(result) if result.status in SUCCESS else None
    if names:
        return ModelList(check=good(_models_found(names, given)), models=names[:_MOST_MODELS])
    if names is not None:
        fix = Cause.NO_MODEL_SERVED()
        return ModelList(check=skipped("its list of models is empty") if given else bad("no model is served", fix))
    outcome = classify(result, path=MODELS, context=_nothing_known(host, key_place))
    evidence = _said(result, outcome)
    is_key = _is_of_key(outcome)
    if given is not None and not is_key and (result.status in _NO_LIST or isinstance(outcome, Success)):
        return ModelList(check=skipped(f"no list of models: {evidence}"))
    # Here a 404 is about the address: no model was requested, although the word is in the path.
    advised: Words = _FIX_BASE_URL if result.status in _NOT_THERE else _fix(outcome)
    advised = advised if is_key else Cause.OR_NAME_A_MODEL(fix=advised)
    return ModelList(check=bad(evidence, advised), ends_here=is_key)


def choose_model(models: Sequence[str]) -> str | None:
    """Return the first model that looks like a chat model, else the first."""
    chatting = (name for name in models if not _NOT_FOR_CHAT.search(name.lower()))
    return next(chatting, models[0] if models else None)


def wants_other_limit(result: Result) -> bool:
    """Return whether the model requires max_completion_tokens instead of max_tokens, as reasoning models do."""
    if isinstance(result, TransportFault) or result.status not in _CLEAN:
        return False
    said = read_evidence(result)
    return said.param == "max_tokens" or "max_completion_tokens" in said.message


def read_request(result: Result, model: str, *, host: str, key_place: str = "") -> CheckResult:
    """Interpret the reply to the tiny request: answered, or why not."""
    if isinstance(result, TransportFault):
        return bad(result.message, fix_for_fault(result.kind))
    outcome = classify(result, path=CHAT, context=_nothing_known(host, key_place))
    is_answer = isinstance(outcome, Success) or outcome.code in _ANSWERED_ALL_THE_SAME
    if not is_answer:
        return bad(_said(result, outcome), _fix(outcome))
    usage = outcome.usage
    tokens = f"{_figure(usage.input_tokens)} tokens in, {_figure(usage.output_tokens)} out"
    return good(f"{model} answered: HTTP {result.status}, {tokens}{_request_id(result)}")


def read_rejection(result: Result, *, host: str, key_place: str = "") -> CheckResult:
    """Interpret the reply to the request without messages. It should be a 400 or 422 with a JSON error."""
    if isinstance(result, TransportFault):
        return bad(f"a bad request got no reply: {result.message}", fix_for_fault(result.kind))
    evidence = read_evidence(result)
    is_object = evidence.document is not NOT_JSON and isinstance(unwrapped(evidence.document), dict)
    if result.status in _CLEAN and is_object and evidence.message:
        said = one_line(evidence.message, _WIDTH)
        return good(f"a request without messages is rejected: HTTP {result.status}, {said}")
    if result.status in SUCCESS and is_object and not evidence.message:
        fix = Cause.BAD_ROWS_ANSWERED()
        return warning(f"a request without messages is accepted: HTTP {result.status}", fix)
    outcome = classify(result, path=CHAT, context=_nothing_known(host, key_place))
    if isinstance(outcome, Failure) and outcome.kind in {FailureKind.RATE_LIMITED, FailureKind.BLOCKED}:
        return bad(_said(result, outcome), _fix(outcome))
    form = "in HTML" if evidence.is_html else "as JSON" if is_object else "not as JSON"
    return bad(
        f"a request without messages is not rejected cleanly: HTTP {result.status}, {form}",
        Cause.BAD_ROWS_RETRIED(),
    )


def read_limits(hints: RateHints, given: Limits) -> CheckResult:
    """Compare the limits that the reply headers announce with those that are given."""
    announced = [
        f"{_figure(limit)} {unit}" + (f" ({_figure(left)} left)" if left is not None else "")
        for limit, left, unit in (
            (hints.rpm, hints.remaining_requests, "requests a minute"),
            (hints.tpm, hints.remaining_tokens, "tokens a minute"),
            (hints.rpd, hints.remaining_requests_day, "requests a day"),
            (hints.input_tpm, None, "input tokens a minute"),
            (hints.output_tpm, None, "output tokens a minute"),
        )
        if limit is not None
    ]
    named = [
        f"{_figure(limit)} {unit}"
        for limit, unit in ((given.rpm, "requests a minute"), (given.tpm, "tokens a minute"))
        if limit is not None
    ]
    says = f"announced: {', '.join(announced)}" if announced else "the reply announces no limits"
    if named:
        return good(f"{says}; given: {', '.join(named)}; the lower of each applies")
    return good(says if announced else Cause.NO_LIMITS_KNOWN())


def _models_found(names: Sequence[str], given: str | None) -> str:
    shown = ", ".join(one_line(name, 80) for name in names[:_NAMED])
    more = ", …" if len(names) > _NAMED else ""
    count = "1 model" if len(names) == 1 else f"{len(names)} models"
    missing = f"; {given} is not among them" if given is not None and given not in names else ""
    return f"{count}: {shown}{more}{missing}"


def _names(reply: Reply) -> tuple[str, ...] | None:
    """Return the names in a list of models; None if it is not such a list.

    OpenAI, Gemini's `models`, Together's bare list.
    """
    document: Any = read_json(reply.body)
    if isinstance(document, dict):
        document = document.get("data", document.get("models"))
    if not isinstance(document, list):
        return None
    found = (item.get("id") or item.get("name") for item in document if isinstance(item, dict))
    return tuple(dict.fromkeys(name for name in found if isinstance(name, str)))


def _is_of_key(outcome: Outcome) -> bool:
    """Return whether the key itself is rejected.

    A key that may not list models may still be valid for requests.
    """
    return isinstance(outcome, Failure) and outcome.pause is not None and outcome.pause.scope is PauseScope.KEY


def _said(reply: Reply, outcome: Outcome) -> str:
    if isinstance(outcome, Success):
        return f"HTTP {reply.status} with a document that is not a list of models"
    code = "" if outcome.code == f"http_{reply.status}" else f"{outcome.code}: "
    return f"HTTP {reply.status}, {code}{one_line(outcome.message, _WIDTH)}{_request_id(reply)}"


def _fix(outcome: Outcome) -> Words:
    if isinstance(outcome, Success):
        return _FIX_BASE_URL
    if outcome.pause is None:
        return _BY_KIND[outcome.kind]
    fix = outcome.pause.fix
    return Cause.OR_ANOTHER_MODEL(fix=fix) if outcome.pause.reason is PauseReason.MODEL else fix


def _request_id(reply: Reply) -> str:
    found = next((reply.headers[name] for name in _REQUEST_IDS if name in reply.headers), None)
    return f" (request id {one_line(found, 100)})" if found else ""


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:,.15g}"


def _nothing_known(host: str, key_place: str) -> ReplyContext:
    return ReplyContext(host=host, endpoint_answered=False, route_answered=False, key_place=key_place)
