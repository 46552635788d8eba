"""The conditions of the rules that are about limits and capacity (docs/providers.md#what-a-reply-means)."""
# ruff: noqa: PLR2004 -- HTTP statuses are their own names, here as in the providers' tables

import re
from collections.abc import Iterator, Mapping
from typing import Final

from batcher.domain.states import RefusalCause
from batcher.policy.classify import error_codes
from batcher.policy.classify.error_body import Evidence
from batcher.policy.classify.failures import Case, named, refused
from batcher.policy.classify.retry_after import rate_hints, stated_wait_us
from batcher.policy.stated_maximum import stated_output
from batcher.policy.wording.account_trouble import OPENING
from batcher.policy.wording.identifiers import as_words
from batcher.policy.wording.limit_words import says_busy, says_rate_limited
from batcher.policy.wording.token_overflow import Overflow

_PER_DAY: Final = re.compile(
    r"\bper day\b|\((?:RPD|TPD)\)|\bdaily (?:\w+ ){0,2}(?:limit|quota) (?:\w+ )?(?:exceeded|reached|exhausted)\b",
    re.IGNORECASE,
)
_NEVER_FITS: Final = re.compile(r"\bLimit:? ([0-9,]+)\b.*?\bRequested:? ([0-9,]+)", re.DOTALL)
#: Google: "Quota exceeded for metric: x, limit: 0, model: y"; OpenAI: "Limit 0, Used 0, Requested 9".
_LIMIT_IS_ZERO: Final = re.compile(
    r"\bquota exceeded for \S.{0,200}?, limit: 0(?![\d.,]*\d)|\blimit:? 0(?: / |, (?:used|requested)\b)"
    r"|\b(?:does not|doesn't) have a free (?:quota )?tier\b",
    re.IGNORECASE,
)
_LIMIT_HEADERS: Final = ("x-ratelimit-limit-req-minute", "x-ratelimit-limit-requests")
#: At least so many bytes of a request make a token of its prompt; media in base64 make none that can be counted.
_BYTES_OF_A_TOKEN: Final = 7
_MEDIA_DATA: Final = b"base64"
#: The share of a limit that is left if nothing but a few running requests uses it.
_NEARLY_ALL: Final = 0.9
_CAPACITY_STATUSES: Final = frozenset({498, 503, 529})
#: Statuses besides 429 at which the words decide whether it is a refusal; every 5xx except 501 is another.
_REFUSAL_STATUSES: Final = frozenset({400, 403, 420, 422, 430})


def _in_words(said: Evidence) -> str:
    """Return code, type and message with their identifiers split: `requests_per_day` is three words."""
    return as_words(said.code, said.type, said.message)


def never_fits(case: Case) -> bool:
    """A single request larger than the limit: 429 (OpenAI), 413 (Groq)."""
    said = case.evidence
    if said.status not in {413, 429}:
        return False
    figures = _NEVER_FITS.search(said.message)
    over = figures is not None and _figure(figures[2]) > _figure(figures[1])
    return over or ("Request too large" in said.message and "Used " not in said.message)


def exceeds_announced(case: Case) -> bool:
    """A request that alone exceeds the token limit that the headers announce: see `announced_overflow`."""
    return announced_overflow(case) is not None


def announced_overflow(case: Case) -> Overflow | None:
    """Return what a refused request takes and the announced limit, if it can never be admitted; else None.

    Not every provider charges the maximum output. It has been charged if the request was refused for its tokens
    while most of them were left: then its maximum is over the limit, or its maximum and its prompt are. Of the
    prompt only half of the usual estimate counts. Anthropic charges what is produced.
    """
    said, hints = case.evidence, rate_hints(case.evidence.headers, host=case.context.host)
    limit, left = hints.tpm, hints.remaining_tokens
    if said.status != 429 or not case.request or not limit or left is None or _is_anthropics(said):
        return None
    output = stated_output(case.request)
    if output is None or refused(case).cause is not RefusalCause.TOKENS:
        return None
    prompt = 0 if _MEDIA_DATA in case.request else len(case.request) // _BYTES_OF_A_TOKEN
    if output > limit and left >= limit / 2:
        return Overflow(tokens=output, limit=int(limit))
    if output + prompt > limit and left >= limit * _NEARLY_ALL:
        return Overflow(tokens=output + prompt, limit=int(limit))
    return None


def _is_anthropics(said: Evidence) -> bool:
    return any(name.startswith("anthropic-ratelimit-") for name in said.headers)


def _figure(text: str) -> int:
    return int(text.replace(",", "")[:18] or "0")


def daily(case: Case) -> bool:
    """A 429 by a daily limit: by source, quota, header, or phrase (OpenAI's code does not name the period)."""
    said = case.evidence
    if said.status != 429:
        return False
    by_source = said.metadata.get("limit_source") == error_codes.OPENROUTER_DAILY
    by_header = rate_hints(said.headers, host=case.context.host).remaining_requests_day == 0
    return by_source or by_header or gemini_daily(case) or _PER_DAY.search(_in_words(said)) is not None


def gemini_daily(case: Case) -> bool:
    """Gemini's `quotaId` of a QuotaFailure, an identifier in which the period is a word of its own."""
    quotas = (one.get("quotaId") for one in _violations(case.evidence))
    return any(isinstance(quota, str) and "PerDay" in quota for quota in quotas)


def zero_limit(case: Case) -> bool:
    """The limit is zero rather than used up: the plan does not include the model.

    Mistral says so in a header, Google in a field or a sentence, which begins as for any other limit.
    """
    said = case.evidence
    if said.status != 429:
        return False
    by_header = any(said.headers.get(name, "").strip() == "0" for name in _LIMIT_HEADERS)
    return by_header or _google_limit_is_zero(said) or _LIMIT_IS_ZERO.search(said.message) is not None


def _google_limit_is_zero(said: Evidence) -> bool:
    metadata = (detail.get("metadata") for detail in said.details)
    values = [found.get("quota_limit_value") for found in metadata if isinstance(found, dict)]
    values += [one.get("quotaValue") for one in _violations(said)]
    return "0" in values


def _violations(said: Evidence) -> Iterator[Mapping[str, object]]:
    """Yield the violations of Google's QuotaFailure."""
    lists = (detail.get("violations") for detail in said.details)
    return (one for found in lists if isinstance(found, list) for one in found if isinstance(one, dict))


def overloaded(case: Case) -> bool:
    """No capacity: a refusal, which uses no attempt. A 503 that states a time is one, too."""
    said = case.evidence
    if said.status == 529 or (said.status in _CAPACITY_STATUSES and named(said, error_codes.OVERLOADED)):
        return True
    states_wait = stated_wait_us(said, case.now_us) is not None
    return said.status == 503 and (states_wait or says_busy(said.code, said.type, said.message))


def rate_limited_in_words(case: Case) -> bool:
    """A rate or quota was exceeded, at a status that would mean something else (API Management, GitHub: 403).

    A 403 that states a time in its header passes with time, too.
    """
    said = case.evidence
    if said.is_html or not (said.status in _REFUSAL_STATUSES or is_server_fault(said)):
        return False
    within = OPENING if said.status in {400, 422} else None
    in_words = says_rate_limited(said.code, said.type, said.message, within=within)
    return in_words or (said.status == 403 and "retry-after" in said.headers)


def overloaded_in_words(case: Case) -> bool:
    """No capacity, said at another server fault than 503 (Anthropic: a 500 with "Overloaded")."""
    said = case.evidence
    return not said.is_html and is_server_fault(said) and says_busy(said.code, said.type, said.message)


def is_server_fault(said: Evidence) -> bool:
    """Return whether the server says that it failed. 501 is about the request."""
    return said.status >= 500 and said.status != 501
