"""Which reply means which outcome: a table, read from top to bottom; the first rule that fits decides (PROVIDERS §0).

To teach a provider's code, add it to its set in `codes.py`; a new rule goes where it must win over those below.
"""

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.outcomes import Failure
from batcher.policy import codes, pauses
from batcher.policy.hints import next_utc_hour_us, rate_hints, told_wait_us
from batcher.policy.verdicts import Case, code_of, exceeds_context, named, permanent, refused, transient

_PER_DAY: Final = re.compile(r"\bper day\b|\((?:RPD|TPD)\)", re.IGNORECASE)
_NEVER_FITS: Final = re.compile(r"\bLimit:? ([0-9,]+)\b.*?\bRequested:? ([0-9,]+)", re.DOTALL)
_OF_A_MODEL: Final = re.compile(r"\bmodels?\b", re.IGNORECASE)
_BUSY: Final = re.compile(r"\b(?:overloaded|server busy|high demand)\b", re.IGNORECASE)

#: Conflicts, timeouts and cancellations that another attempt may pass.
_AGAIN: Final = frozenset({408, 409, 425, 498, 499})
#: Where a proxy in front of the API may answer with a page for a request that is too large.
_TOO_LARGE: Final = frozenset({413, 414, 431})
_MODEL_STATUSES: Final = frozenset({400, 403, 404, 422})
_CAPACITY_STATUSES: Final = frozenset({498, 503, 529})
_FEW: Final = 3


class Rule(Struct, frozen=True):
    """One row of the table."""

    name: str
    applies: Callable[[Case], bool]
    outcome: Callable[[Case], Failure]


# --- money and accounts


def _spend_cap(case: Case) -> bool:
    said = case.evidence
    usage_limits = said.status == 400 and said.message.startswith(codes.ANTHROPIC_USAGE_LIMITS)
    return usage_limits or said.error_code == "linked_organization_spend_limit_reached" or named(said, codes.SPEND_CAP)


def _no_credit(case: Case) -> bool:
    said = case.evidence
    too_low = said.status == 400 and codes.ANTHROPIC_NO_CREDIT in said.message
    of_organization = said.error_code.startswith(codes.LINKED_ORGANIZATION)
    return too_low or of_organization or named(said, codes.NO_CREDIT | codes.ANTHROPIC_BILLING)


def _account(case: Case) -> bool:
    return named(case.evidence, codes.ACCOUNT)


def _in_flight_budget(case: Case) -> bool:
    said = case.evidence
    source, reason = said.metadata.get("limit_source"), said.metadata.get("reason")
    if said.status != 402 or reason == codes.OPENROUTER_TOO_HEAVY or source in codes.OPENROUTER_NO_CREDIT:
        return False
    return source == codes.OPENROUTER_IN_FLIGHT or "retry-after" in said.headers or "retry-after-ms" in said.headers


def _key_cap(case: Case) -> bool:
    said = case.evidence
    return said.status == 402 and said.metadata.get("limit_source") == codes.OPENROUTER_KEY_LIMIT


def _bad_key(case: Case) -> bool:
    said = case.evidence
    from_google = any(detail.get("reason") == codes.GOOGLE_BAD_KEY for detail in said.details)
    return said.status == 401 or (said.status == 400 and from_google)


def _google_billing(case: Case) -> bool:
    return case.evidence.status == 400 and named(case.evidence, codes.GOOGLE_PRECONDITION)


# --- model, permission, address


def _moderated(case: Case) -> bool:
    said = case.evidence
    flagged = "reasons" in said.metadata or "flagged_input" in said.metadata
    return said.status == 403 and (flagged or "guardrail" in said.message.lower() or named(said, codes.MODERATION))


def _context_forbidden(case: Case) -> bool:
    """Together says with 403 that prompt and max_tokens exceed the window."""
    return case.evidence.status == 403 and exceeds_context(case.evidence)


def _wrong_address(case: Case) -> bool:
    """Nothing was answered yet, and what came is not of an API: the base URL is wrong."""
    if case.standing.endpoint_answered:
        return False
    said = case.evidence
    page = said.is_html and 400 <= said.status < 500 and said.status not in _AGAIN | _TOO_LARGE | {429}
    return page or 300 <= said.status < 400 or said.status == 405 or (said.status == 404 and not _unknown_model(case))


def _unknown_model(case: Case) -> bool:
    said = case.evidence
    if said.status not in _MODEL_STATUSES:
        return False
    no_such_path = said.message.lower() in codes.NO_SUCH_PATH
    not_found = said.status == 404 and not no_such_path and named(said, codes.NOT_FOUND)
    denied = said.status in {403, 404} and not said.is_html and _OF_A_MODEL.search(said.message) is not None
    return not_found or denied or named(said, codes.MODEL)


def _service_tier(case: Case) -> bool:
    return case.evidence.status == 400 and case.evidence.param == "service_tier"


# --- limits


def _never_fits(case: Case) -> bool:
    """A single request larger than the limit: 429 (OpenAI), 413 (Groq)."""
    said = case.evidence
    if said.status not in {413, 429}:
        return False
    figures = _NEVER_FITS.search(said.message)
    over = figures is not None and _figure(figures[2]) > _figure(figures[1])
    return over or ("Request too large" in said.message and "Used " not in said.message)


def _figure(text: str) -> int:
    return int(text.replace(",", "")[:18] or "0")


def _daily(case: Case) -> bool:
    said = case.evidence
    if said.status != 429:
        return False
    by_source = said.metadata.get("limit_source") == codes.OPENROUTER_DAILY
    by_header = rate_hints(said.headers, host="").remaining_requests_day == 0
    return by_source or by_header or _gemini_daily(case) or _PER_DAY.search(said.message) is not None


def _gemini_daily(case: Case) -> bool:
    """`quotaId` of a QuotaFailure: an identifier in which the period is a word of its own."""
    violations = (detail.get("violations") for detail in case.evidence.details)
    lists = (found for found in violations if isinstance(found, list))
    return any("PerDay" in str(one.get("quotaId")) for found in lists for one in found if isinstance(one, dict))


def _zero_limit(case: Case) -> bool:
    names = ("x-ratelimit-limit-req-minute", "x-ratelimit-limit-requests")
    return case.evidence.status == 429 and any(case.evidence.headers.get(name, "").strip() == "0" for name in names)


def _overloaded(case: Case) -> bool:
    """No capacity: a refusal, which spends nothing. A 503 that names a time is one too."""
    said = case.evidence
    if said.status == 529 or (said.status in _CAPACITY_STATUSES and named(said, codes.OVERLOADED)):
        return True
    told = told_wait_us(said, case.now_us) is not None
    return said.status == 503 and (told or _BUSY.search(said.message) is not None)


# --- the rest


def _status(*statuses: int) -> Callable[[Case], bool]:
    return lambda case: case.evidence.status in statuses


def _no_use(case: Case) -> bool:
    return case.evidence.headers.get("x-should-retry") == "false"


def _no_use_waiting(case: Case) -> bool:
    return case.evidence.status == 429 and _no_use(case)


def _again(case: Case) -> bool:
    said = case.evidence
    failed_there = said.status >= 500 and said.status != 501
    return failed_there or said.status in _AGAIN or said.headers.get("x-should-retry") == "true"


def _took_too_long(case: Case) -> bool:
    return case.evidence.status == 504 and named(case.evidence, codes.TOOK_TOO_LONG)


def _forbidden_page(case: Case) -> bool:
    return case.evidence.status == 403 and case.evidence.is_html


def _page_for_an_answer(case: Case) -> bool:
    """A success that is a page or a text: a login page, a captive portal, the wrong address."""
    said = case.evidence
    no_json_promised = said.content_type != "" and "json" not in said.content_type
    return said.status < 300 and bool(said.document) and (said.is_html or no_json_promised)


def _always(_: Case) -> bool:
    return True


def _refused_in_flight(case: Case) -> Failure:
    return replace(refused(case), restart_ramp=True)


def _refused_for_today(case: Case) -> Failure:
    """Where no time is told: OpenRouter's day begins at 00:00 UTC; Gemini's at midnight Pacific, 08:00 UTC or before.

    Gemini tells a time of some seconds even then; it is not of the daily limit.
    """
    outcome = refused(case)
    wait = outcome.retry_after_us
    if _gemini_daily(case):
        wait = next_utc_hour_us(case.now_us, 8)
    elif wait is None and case.evidence.metadata.get("limit_source") == codes.OPENROUTER_DAILY:
        wait = next_utc_hour_us(case.now_us, 0)
    return replace(outcome, daily=True, retry_after_us=wait)


def _too_large(case: Case) -> Failure:
    return permanent(case, code="request_too_large")


def _few_times(case: Case) -> Failure:
    return transient(case, most_attempts=_FEW)


def _bad_answer(case: Case) -> Failure:
    return replace(transient(case), code=code_of(case.evidence) if case.evidence.is_html else "invalid_json")


def _page_once_more(case: Case) -> Failure:
    if not case.standing.endpoint_answered:
        return pauses.pause_for_base_url(case)
    return replace(_bad_answer(case), most_attempts=_FEW)


RULES: Final[tuple[Rule, ...]] = (
    # Money first: these come at 400, 401, 402, 403 and 429, and a retry never helps.
    Rule("spending cap reached", _spend_cap, pauses.pause_for_spend_cap),
    Rule("no credit", _no_credit, pauses.pause_for_credit),
    Rule("account needs a person", _account, pauses.pause_for_key),
    Rule("OpenRouter's budget in flight", _in_flight_budget, _refused_in_flight),
    Rule("OpenRouter's cap of the key", _key_cap, pauses.pause_for_spend_cap),
    Rule("payment required", _status(402), pauses.pause_for_credit),
    # Then what stops every request of the key, the endpoint or the model.
    Rule("bad key", _bad_key, pauses.pause_for_key),
    Rule("Google's billing or region", _google_billing, pauses.pause_for_credit),
    Rule("the proxy wants a login", _status(407), pauses.pause_for_proxy),
    Rule("flagged content", _moderated, permanent),
    Rule("prompt over the window at 403", _context_forbidden, permanent),
    Rule("nothing answered, and no API there", _wrong_address, pauses.pause_for_base_url),
    Rule("unknown model", _unknown_model, pauses.pause_for_model),
    Rule("service tier not allowed", _service_tier, pauses.pause_for_permission),
    Rule("a page forbids it", _forbidden_page, pauses.pause_for_page),
    Rule("no permission", _status(403), pauses.pause_for_permission),
    # Limits.
    Rule("never fits the limit", _never_fits, _too_large),
    Rule("limit of the day", _daily, _refused_for_today),
    Rule("limit of zero", _zero_limit, pauses.pause_for_zero_limit),
    Rule("refused, and waiting will not help", _no_use_waiting, pauses.pause_for_refusal),
    Rule("the provider says: not again", _no_use, permanent),
    Rule("too many requests", _status(429), refused),
    Rule("overloaded", _overloaded, refused),
    # Faults that another attempt may pass.
    Rule("took too long there", _took_too_long, _few_times),
    Rule("server fault, conflict, timeout", _again, transient),
    # A 200 that is not JSON.
    Rule("a page for an answer", _page_for_an_answer, _page_once_more),
    Rule("answer cut short", lambda case: case.evidence.status < 300, _bad_answer),
    # What is left is wrong with this request: 400, 404, 405, 413, 414, 415, 422, 424, 431, 501, 3xx…
    Rule("the request is at fault", _always, permanent),
)


def first_match(case: Case) -> Rule:
    """The rule that decides; the last one fits everything."""
    return next(rule for rule in RULES if rule.applies(case))
