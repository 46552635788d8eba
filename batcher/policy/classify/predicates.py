"""The conditions of the rules, one question about a case each (docs/providers.md#what-a-reply-means).

Those about limits and capacity are in `limit_predicates.py`.
"""
# ruff: noqa: PLR2004 -- HTTP statuses are their own names, here as in the providers' tables

import re
from typing import Final

from batcher.policy.classify import error_codes
from batcher.policy.classify.error_body import SUCCESS
from batcher.policy.classify.failures import Case, exceeds_context, named
from batcher.policy.classify.limit_predicates import is_server_fault
from batcher.policy.lenient_json import NOT_JSON
from batcher.policy.wording.account_trouble import OPENING, Trouble, account_trouble, other_address
from batcher.policy.wording.identifiers import as_words

_OF_A_MODEL: Final = re.compile(r"\bmodels?\b", re.IGNORECASE)
#: A download that failed or took too long, in either order of the words.
_DOWNLOAD: Final = re.compile(
    r"\b(?:time[d ]*-?out|fail\w*|error|unable|could ?n.t|cannot)\b.{0,60}\b(?:download|fetch)"
    r"|\b(?:download|fetch)\w*\b.{0,80}\b(?:timed? ?out|failed)\b",
    re.IGNORECASE,
)
_MOVED: Final = re.compile(
    r"(?:\b(?:api|endpoint|url|version)\b|https?://\S+) (?:\S+ ){0,4}"
    r"(?:no longer (?:supported|available)|moved|retired|discontinued|shut down|gone)\b",
    re.IGNORECASE,
)

#: Conflicts, timeouts and cancellations, which may pass on a retry.
_AGAIN: Final = frozenset({408, 409, 425, 498, 499})
#: A proxy in front of the API may answer these with a page, if a request is too large.
_TOO_LARGE: Final = frozenset({413, 414, 431})
#: Content types of what is no JSON by design.
_MEDIA: Final = ("text/event-stream", "audio/", "video/", "image/", "application/octet-stream")
_MODEL_STATUSES: Final = frozenset({400, 403, 404, 410, 422})
#: Statuses at which a sentence about the account is read. A 402 is about money whatever it says.
_ACCOUNT_STATUSES: Final = frozenset({400, 401, 403, 412, 429})
_URL: Final = re.compile(r"https?://\S+")


# --- money and accounts


def _complains(case: Case, trouble: Trouble) -> bool:
    """Return whether the message says this. At 400 and 422 it may repeat the request: its beginning counts."""
    said = case.evidence
    within = OPENING if said.status in {400, 422} else None
    return not said.is_html and account_trouble(said.message, within=within) is trouble


def _account_complains(case: Case, trouble: Trouble) -> bool:
    return case.evidence.status in _ACCOUNT_STATUSES and _complains(case, trouble)


def spend_cap(case: Case) -> bool:
    """A spending cap, by code or in words; Anthropic's own caps at 400 by the beginning of the message."""
    said = case.evidence
    usage_limits = said.status == 400 and said.message.startswith(error_codes.ANTHROPIC_USAGE_LIMITS)
    return (
        usage_limits
        or said.error_code == "linked_organization_spend_limit_reached"
        or named(said, error_codes.SPEND_CAP)
        or _account_complains(case, Trouble.SPEND_CAP)
    )


def no_credit(case: Case) -> bool:
    """Prepaid credit is used up or billing is off, by code or in words."""
    said = case.evidence
    too_low = said.status == 400 and error_codes.ANTHROPIC_NO_CREDIT in said.message
    of_organization = said.error_code.startswith(error_codes.LINKED_ORGANIZATION)
    by_name = named(said, error_codes.NO_CREDIT | error_codes.ANTHROPIC_BILLING)
    return too_low or of_organization or by_name or _account_complains(case, Trouble.NO_CREDIT)


def account_disabled(case: Case) -> bool:
    """The account is off, on hold, or not allowed from here, by code or in words (Fireworks: 412)."""
    return named(case.evidence, error_codes.ACCOUNT) or _account_complains(case, Trouble.SUSPENDED)


def in_flight_budget(case: Case) -> bool:
    """A 402 that passes with time: it states a time, or OpenRouter says that too much is in flight."""
    said = case.evidence
    source = said.metadata.get("limit_source")
    too_heavy = said.metadata.get("reason") == error_codes.OPENROUTER_TOO_HEAVY
    if said.status != 402 or too_heavy or source in error_codes.OPENROUTER_NO_CREDIT:
        return False
    return (
        source == error_codes.OPENROUTER_IN_FLIGHT
        or "retry-after" in said.headers
        or "retry-after-ms" in said.headers
    )


def key_cap(case: Case) -> bool:
    """OpenRouter's limit on what one key may spend."""
    said = case.evidence
    return said.status == 402 and said.metadata.get("limit_source") == error_codes.OPENROUTER_KEY_LIMIT


def bad_key(case: Case) -> bool:
    """401; Google, xAI and LiteLLM send a bad key as a 400, with a reason, a code or in words."""
    said = case.evidence
    if said.status != 400:
        return said.status == 401
    from_google = any(detail.get("reason") == error_codes.GOOGLE_BAD_KEY for detail in said.details)
    return from_google or named(said, error_codes.BAD_KEY) or _complains(case, Trouble.BAD_KEY)


def google_billing(case: Case) -> bool:
    """Google: billing off, or the free tier not offered here."""
    return case.evidence.status == 400 and named(case.evidence, error_codes.GOOGLE_PRECONDITION)


# --- model, permission, address


def moderated(case: Case) -> bool:
    """A 403 about this request's content: moderation or a guardrail (OpenRouter)."""
    said = case.evidence
    flagged = "reasons" in said.metadata or "flagged_input" in said.metadata
    return said.status == 403 and (
        flagged or "guardrail" in said.message.lower() or named(said, error_codes.MODERATION)
    )


def exceeds_window(case: Case) -> bool:
    """Prompt and max_tokens exceed the window, at a status that would mean something else (Together: 403)."""
    return case.evidence.status in {403, 500} and exceeds_context(case.evidence)


def wrong_address(case: Case) -> bool:
    """Nothing has been answered yet, and the reply is not an API's: the base URL is wrong."""
    if case.context.endpoint_answered:
        return False
    said = case.evidence
    page = said.is_html and 400 <= said.status < 500 and said.status not in _AGAIN | _TOO_LARGE | {429}
    return page or nothing_there(case)


def wrong_path(case: Case) -> bool:
    """The endpoint has answered, but never on this route: it does not offer the path."""
    return nothing_there(case) and not case.context.route_answered


def no_api_there(case: Case) -> bool:
    """The route has answered before, and now no API does: a gateway without a backend, or a login page."""
    return nothing_there(case) and not _says_why(case)


def nothing_there(case: Case) -> bool:
    """A redirect, or a path or a method that is not known; by status, as a missing model has rules of its own."""
    said = case.evidence
    return 300 <= said.status < 400 or said.status == 405 or (said.status == 404 and not unknown_model(case))


def _says_why(case: Case) -> bool:
    """Whether an API wrote the reply: a JSON object with more to say than that there is nothing."""
    said = case.evidence
    if not isinstance(said.document, dict) or said.message.lower().rstrip(".!") in {"", *error_codes.NO_SUCH_PATH}:
        return False
    return any((said.code, said.type, said.param)) or isinstance(said.document.get("error"), dict)


def unknown_model(case: Case) -> bool:
    """The model is unknown or not available to this key, by code or in words.

    At 403, 404 and 410, it is enough that the message names a model.
    """
    said = case.evidence
    if said.status not in _MODEL_STATUSES:
        return False
    no_such_path = said.message.lower() in error_codes.NO_SUCH_PATH
    not_found = said.status == 404 and not no_such_path and named(said, error_codes.NOT_FOUND)
    of_a_model = said.status in {403, 404} and not said.is_html and _of_a_model(said.message)
    return (
        not_found
        or of_a_model
        or _retired_model(case)
        or named(said, error_codes.MODEL)
        or _complains(case, Trouble.UNKNOWN_MODEL)
    )


def _of_a_model(message: str) -> bool:
    return _OF_A_MODEL.search(as_words(message)) is not None


def _retired_model(case: Case) -> bool:
    """410 about a model; the word may also stand in a URL, where it says nothing."""
    said = case.evidence
    return said.status == 410 and not said.is_html and _of_a_model(_URL.sub("", said.message))


def moved_api(case: Case) -> bool:
    """410: the API has moved, and the message names the new address or says so (Hugging Face)."""
    said = case.evidence
    if said.status != 410 or said.is_html or _retired_model(case):
        return False
    return other_address(said.message) is not None or _MOVED.search(said.message) is not None


def service_tier(case: Case) -> bool:
    """OpenAI: the project may not use the tier that the body asks for."""
    return case.evidence.status == 400 and case.evidence.param == "service_tier"


# --- the rest


def format_missed(case: Case) -> bool:
    """A 400 because the model, which samples, did not produce the requested format or tool call (Groq)."""
    return case.evidence.status == 400 and named(case.evidence, error_codes.FORMAT_MISSED)


def download_failed(case: Case) -> bool:
    """A 400 because the provider could not download what the request refers to, such as an image."""
    said = case.evidence
    return said.status in {400, 422} and _DOWNLOAD.search(said.message) is not None


def retry_is_forbidden(case: Case) -> bool:
    """The provider says that a retry will not help; its SDKs obey this before the status."""
    return case.evidence.headers.get("x-should-retry") == "false"


def retry_is_forbidden_at_429(case: Case) -> bool:
    """The same for a 429: it is about the lane, not the request."""
    return case.evidence.status == 429 and retry_is_forbidden(case)


def is_retryable(case: Case) -> bool:
    """Server faults (except 501), conflicts, timeouts, Groq's 498, and what the provider says to retry."""
    said = case.evidence
    return is_server_fault(said) or said.status in _AGAIN or said.headers.get("x-should-retry") == "true"


def took_too_long(case: Case) -> bool:
    """The provider's own time limit: a longer input will exceed it again."""
    return case.evidence.status == 504 and named(case.evidence, error_codes.TOOK_TOO_LONG)


def forbidden_page(case: Case) -> bool:
    """A firewall's page."""
    return case.evidence.status == 403 and case.evidence.is_html


def page_for_an_answer(case: Case) -> bool:
    """A success that is a page or a text: a login page, a captive portal, the wrong address."""
    said = case.evidence
    no_json_promised = said.content_type != "" and "json" not in said.content_type
    return is_not_json_object(case) and said.message != "" and (said.is_html or no_json_promised)


def media_or_stream(case: Case) -> bool:
    """A success with a stream of events, or with sound, an image or a file: right in itself, and no JSON."""
    said = case.evidence
    begins_as_json = said.message.startswith(("{", "["))
    is_media = said.content_type.startswith(_MEDIA) and not begins_as_json
    return said.status in SUCCESS and said.document is NOT_JSON and is_media


def is_not_json_object(case: Case) -> bool:
    """A 2xx; the rules see it only if its body is not a JSON object."""
    return case.evidence.status in SUCCESS
