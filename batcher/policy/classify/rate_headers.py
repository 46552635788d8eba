"""Parses the limits that reply headers announce. On the path of every reply.

See docs/providers.md#rate-limit-headers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

from batcher.domain.lanes import NO_HINTS, RateHints
from batcher.policy.classify.durations import parse_duration

_GROQ: Final = "api.groq.com"
#: Seconds. A limit per minute is full again within one, be it a bucket or a window; a longer reset means another
#: period.
_LONGEST_RESET_OF_A_MINUTE: Final = 120.0
#: Seconds. A reset beyond a year is a point in time instead of a duration.
_LONGEST_RESET: Final = 366 * 86_400.0
_MOST_DIGITS: Final = 20

_ANTHROPIC: Final = frozenset(
    {
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-limit",
        "anthropic-ratelimit-input-tokens-limit",
        "anthropic-ratelimit-output-tokens-limit",
    }
)
#: Without any of these there is nothing to read.
_MARKERS: Final = _ANTHROPIC | {
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-limit-project-tokens",
    "x-ratelimit-limit-req-minute",
    "x-ratelimit-limit-requests-minute",
    "x-ratelimit-limit-requests-day",
    "x-ratelimit-limit-tokens-minute",
    "x-ratelimit-limit-tokens-day",
}


class StatedLimit(Struct, frozen=True):
    """One limit as headers state it: units, units remaining, seconds until it is full again."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


_UNSAID: Final = StatedLimit()


def rate_hints(headers: Mapping[str, str], *, host: str) -> RateHints:
    """Return the limits that a reply's headers (names in lower case) announce.

    `host` is the endpoint's: Groq's request headers count requests per day. So do those of any other host that
    take more than two minutes to reset. RFC 3339 resets are measured from the `date` header.
    """
    if _MARKERS.isdisjoint(headers):
        return NO_HINTS
    if not _ANTHROPIC.isdisjoint(headers):
        return _anthropic(headers)
    requests, a_day = _requests(headers, daily=host == _GROQ)
    tokens, tokens_day = _tokens(headers), _dimension(headers, "tokens-day")
    return RateHints(
        rpm=requests.limit,
        remaining_requests=requests.remaining,
        reset_requests=requests.reset,
        tpm=tokens.limit,
        remaining_tokens=tokens.remaining,
        reset_tokens=tokens.reset,
        rpd=a_day.limit,
        remaining_requests_day=a_day.remaining,
        tpd=tokens_day.limit,
        remaining_tokens_day=tokens_day.remaining,
    )


def _requests(headers: Mapping[str, str], *, daily: bool) -> tuple[StatedLimit, StatedLimit]:
    """Return requests per minute, and requests per day."""
    plain = _dimension(headers, "requests")
    a_day = _dimension(headers, "requests-day")
    if plain.limit is not None and (daily or _is_slow(plain)):
        return _UNSAID, plain
    if plain.limit is not None:
        return plain, a_day
    minute = _dimension(headers, "requests-minute")
    return (minute if minute.limit is not None else _dimension(headers, "req-minute")), a_day


def _tokens(headers: Mapping[str, str]) -> StatedLimit:
    """Return tokens per minute; if a project has a lower limit of its own, that one."""
    plain = _dimension(headers, "tokens")
    if plain.limit is None:
        plain = _dimension(headers, "tokens-minute")
    project = _dimension(headers, "project-tokens")
    if project.limit is None or (plain.limit is not None and plain.limit <= project.limit):
        return _UNSAID if _is_slow(plain) else plain
    return project


def _dimension(headers: Mapping[str, str], name: str) -> StatedLimit:
    stated = headers.get(f"x-ratelimit-limit-{name}")
    limit = _count(stated) if stated else None
    if not limit:
        return _UNSAID
    remaining = _count(headers.get(f"x-ratelimit-remaining-{name}"))
    reset = parse_duration(headers.get(f"x-ratelimit-reset-{name}", ""))
    return StatedLimit(limit, remaining, reset if reset is None or reset < _LONGEST_RESET else None)


def _is_slow(stated: StatedLimit) -> bool:
    """Return whether it is a limit per hour or per day.

    The implied period, reset · limit / used, would show it sooner; but with a window that is reset at full
    minutes, it would mistake the first request's limit for a daily one.
    """
    return stated.reset is not None and stated.reset > _LONGEST_RESET_OF_A_MINUTE


def _anthropic(headers: Mapping[str, str]) -> RateHints:
    now = _date(headers.get("date"))
    requests = _anthropic_dimension(headers, "requests", now)
    tokens = _anthropic_dimension(headers, "tokens", now)
    return RateHints(
        rpm=requests.limit,
        remaining_requests=requests.remaining,
        reset_requests=requests.reset,
        tpm=tokens.limit,
        remaining_tokens=tokens.remaining,
        reset_tokens=tokens.reset,
        input_tpm=_anthropic_dimension(headers, "input-tokens", now).limit,
        output_tpm=_anthropic_dimension(headers, "output-tokens", now).limit,
    )


def _anthropic_dimension(headers: Mapping[str, str], name: str, now: datetime | None) -> StatedLimit:
    limit = _count(headers.get(f"anthropic-ratelimit-{name}-limit"))
    if not limit:
        return _UNSAID
    remaining = _count(headers.get(f"anthropic-ratelimit-{name}-remaining"))
    return StatedLimit(limit, remaining, _seconds_until(headers.get(f"anthropic-ratelimit-{name}-reset"), now))


def _count(text: str | None) -> float | None:
    """Parse a number that may have commas; None if it is absent, negative ("unknown") or not a number."""
    if not text:
        return None
    if text.isdecimal() and text.isascii() and len(text) < _MOST_DIGITS:
        return float(text)
    digits = text.replace(",", "").strip()
    whole, _, fraction = digits.partition(".")
    # Only ASCII: `isdigit` also accepts digits that `float` does not, such as "²".
    is_number = (
        digits.isascii()
        and whole.isdigit()
        and len(digits) < _MOST_DIGITS
        and (not fraction or fraction.isdigit())
    )
    return float(digits) if is_number else None


def _date(text: str | None) -> datetime | None:
    """Parse an HTTP date, as an aware datetime."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _seconds_until(reset: str | None, now: datetime | None) -> float | None:
    if not reset or now is None:
        return None
    try:
        moment = datetime.fromisoformat(reset)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp())
