"""The table of rules, read from top to bottom: the first rule that matches a reply decides its outcome.

See docs/providers.md#what-a-reply-means. To support a provider's code, add it to its set in `error_codes.py`; a
new rule goes above the rules that it must override.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.outcomes import Failure
from batcher.domain.states import RefusalCause
from batcher.policy.classify import error_codes, failures, limit_predicates, predicates
from batcher.policy.classify.error_body import Evidence
from batcher.policy.classify.failures import Case, permanent, refused, transient
from batcher.policy.classify.retry_after import next_utc_hour_us
from batcher.policy.lenient_json import NOT_JSON

_TOO_MANY: Final = 429
_TWICE: Final = 2
_FEW: Final = 3
_KINDS: Final[Mapping[type, str]] = {list: "list", str: "string", bool: "boolean", type(None): "null"}


class Rule(Struct, frozen=True):
    """One row of the table."""

    name: str
    applies: Callable[[Case], bool]
    outcome: Callable[[Case], Failure]


def _status(*statuses: int) -> Callable[[Case], bool]:
    return lambda case: case.evidence.status in statuses


def _always(_: Case) -> bool:
    return True


def _refused_in_flight(case: Case) -> Failure:
    return replace(refused(case), restart_ramp=True)


def _refused_for_today(case: Case) -> Failure:
    """A daily refusal. If no time is stated: OpenRouter's day begins at 00:00 UTC, Gemini's at midnight Pacific.

    Midnight Pacific is at 07:00 or 08:00 UTC, so 08:00 is used. Gemini states a time of some seconds even then,
    which is not that of the daily limit.
    """
    outcome = refused(case)
    wait = outcome.retry_after_us
    if limit_predicates.gemini_daily(case):
        wait = next_utc_hour_us(case.now_us, 8)
    elif wait is None and case.evidence.metadata.get("limit_source") == error_codes.OPENROUTER_DAILY:
        wait = next_utc_hour_us(case.now_us, 0)
    return replace(outcome, cause=RefusalCause.DAY, retry_after_us=wait)


def _as_too_many(case: Case) -> Failure:
    """Judge a refusal at another status as the 429 that it is: it may be for a day, or too large."""
    refusal = replace(case, evidence=replace(case.evidence, status=_TOO_MANY))
    return first_match(refusal).outcome(refusal)


def _too_large(case: Case) -> Failure:
    return permanent(case, code="request_too_large")


def _exceeds_announced(case: Case) -> Failure:
    overflow = limit_predicates.announced_overflow(case)
    figures = f"{overflow.tokens:,} tokens alone, more than the {overflow.limit:,} a minute" if overflow else ""
    said = permanent(case, code="request_too_large")
    return replace(said, message=f"it takes {figures} that the provider announces: {said.message}")


def _few_times(case: Case) -> Failure:
    return transient(case, most_attempts=_FEW)


def _bad_answer(case: Case) -> Failure:
    if case.evidence.is_html:
        return transient(case)
    # An empty reply is a gateway's, or a server's that is being stopped; half a reply is the model's.
    said = case.evidence
    is_empty = said.document is NOT_JSON and not said.message
    # A whole document is hardly another one the next time, and each may be billed.
    is_whole = said.document is not NOT_JSON or said.bad_utf8_at is not None
    return replace(
        transient(case, most_attempts=_TWICE if is_whole else None),
        code="invalid_json",
        message=_what_came(said),
        outage=is_empty,
    )


def _what_came(evidence: Evidence) -> str:
    """Describe a body that is not a JSON object. It was cut short only if it begins as one."""
    if evidence.document is not NOT_JSON:
        return f"the reply is a JSON {_KINDS.get(type(evidence.document), 'number')}, not an object"
    if evidence.bad_utf8_at is not None:
        at = evidence.bad_utf8_at
        return f"the reply is whole, but byte {at:,} is not UTF-8, so no JSON reader takes it: {evidence.message}"
    if not evidence.message:
        return "the reply is empty"
    if evidence.message.startswith(("{", "[")):
        return f"the reply is not a complete JSON object: {evidence.message}"
    kind = f" ({evidence.content_type})" if evidence.content_type else ""
    return f"the reply is not JSON{kind}: {evidence.message}"


def _not_json_by_design(case: Case) -> Failure:
    kind = case.evidence.content_type
    if kind == "text/event-stream":
        message = "the server streams its answer (text/event-stream) although the request does not ask for it"
        return replace(transient(case, most_attempts=_TWICE), code="unasked_stream", message=message)
    message = f"the answer is {kind}; batcher keeps JSON answers only"
    return replace(permanent(case, code="not_json"), message=message)


def _page_once_more(case: Case) -> Failure:
    if not case.context.endpoint_answered:
        return failures.pause_for_base_url(case)
    return replace(_bad_answer(case), most_attempts=_FEW, outage=True)


RULES: Final[tuple[Rule, ...]] = (
    # A 2xx whose body is not a JSON object.
    Rule("stream or media instead of JSON", predicates.media_or_stream, _not_json_by_design),
    Rule("HTML page instead of an answer", predicates.page_for_an_answer, _page_once_more),
    Rule("answer cut short", predicates.is_not_json_object, _bad_answer),
    # Billing first: these arrive with 400, 401, 402, 403 and 429, and a retry never helps.
    Rule("spending cap reached", predicates.spend_cap, failures.pause_for_spend_cap),
    Rule("no credit", predicates.no_credit, failures.pause_for_credit),
    Rule("account disabled", predicates.account_disabled, failures.pause_for_key),
    Rule("OpenRouter's in-flight budget", predicates.in_flight_budget, _refused_in_flight),
    Rule("OpenRouter's key limit", predicates.key_cap, failures.pause_for_spend_cap),
    Rule("payment required", _status(402), failures.pause_for_credit),
    # Then what stops every request of the key, the endpoint or the model.
    Rule("bad key", predicates.bad_key, failures.pause_for_key),
    Rule("Google's billing or region", predicates.google_billing, failures.pause_for_credit),
    Rule("proxy login required", _status(407), failures.pause_for_proxy),
    Rule("flagged content", predicates.moderated, permanent),
    Rule("context length exceeded at 403 or 500", predicates.exceeds_window, permanent),
    Rule("rate limited at another status", limit_predicates.rate_limited_in_words, _as_too_many),
    Rule("moved API", predicates.moved_api, failures.pause_for_moved_api),
    Rule("wrong base URL", predicates.wrong_address, failures.pause_for_base_url),
    Rule("wrong path", predicates.wrong_path, failures.pause_for_path),
    Rule("nothing there any more", predicates.no_api_there, failures.outage),
    Rule("unknown model", predicates.unknown_model, failures.pause_for_model),
    Rule("service tier not allowed", predicates.service_tier, failures.pause_for_permission),
    Rule("HTML page at 403", predicates.forbidden_page, failures.pause_for_page),
    Rule("no permission", _status(403), failures.pause_for_permission),
    # Limits. A limit of zero is often one per day, too.
    Rule("zero limit", limit_predicates.zero_limit, failures.pause_for_zero_limit),
    Rule("never fits the limit", limit_predicates.never_fits, _too_large),
    Rule("daily limit", limit_predicates.daily, _refused_for_today),
    Rule("larger than the announced limit", limit_predicates.exceeds_announced, _exceeds_announced),
    Rule("429 with x-should-retry: false", predicates.retry_is_forbidden_at_429, failures.pause_for_refusal),
    Rule("x-should-retry: false", predicates.retry_is_forbidden, permanent),
    Rule("too many requests", _status(429), refused),
    Rule("overloaded", limit_predicates.overloaded, refused),
    Rule("overloaded at another status", limit_predicates.overloaded_in_words, refused),
    # Faults that may pass on a retry.
    Rule("provider timeout", predicates.took_too_long, _few_times),
    # TGI, TEI and Bedrock: the model behind the server failed.
    Rule("failed dependency", _status(424), _few_times),
    Rule("requested format missed", predicates.format_missed, _few_times),
    Rule("the provider's own download failed", predicates.download_failed, _few_times),
    Rule("server fault, conflict, timeout", predicates.is_retryable, transient),
    # What remains is wrong with this request: 400, 404, 405, 413, 414, 415, 422, 431, 501, 3xx…
    Rule("the request is at fault", _always, permanent),
)


def first_match(case: Case) -> Rule:
    """Return the rule that decides; the last one matches everything."""
    return next(rule for rule in RULES if rule.applies(case))
