"""What a server says about when to come back and about its limits; every spelling that PROVIDERS §2 knows.

`rate_hints` and `parse_duration` live beside this module and are offered here too.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from batcher.policy.classify.durations import parse_duration, wait_in_words
from batcher.policy.classify.error_body import Evidence
from batcher.policy.classify.rate_headers import rate_hints

__all__ = ["parse_duration", "rate_hints", "retry_after_us", "told_wait_us"]

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
#: Longer waits are not heeded whole: a week later the server is asked again.
LONGEST_WAIT_US: Final = 7 * _DAY
#: Beyond this it is no wait but a mistake: a moment in the place of a duration.
_ABSURD_US: Final = 400 * _DAY
#: X-RateLimit-Reset is a moment in milliseconds; some gateways send it in seconds.
_SMALLEST_MILLISECONDS: Final = 10**11


def retry_after_us(evidence: Evidence, now_us: int) -> int | None:
    """Microseconds from `now_us` until the server is worth asking again; None: it does not say.

    For a refusal (429): where nothing is told, the reset of a dimension that has nothing left.
    """
    told = told_wait_us(evidence, now_us)
    return told if told is not None else _sane(_exhausted(evidence.headers))


def told_wait_us(evidence: Evidence, now_us: int) -> int | None:
    """The same, of what the reply says in so many words: header, body, message, in this order.

    A time that is zero, past, negative or absurd counts as not said, and the next source is asked.
    """
    return next((wait for wait in map(_sane, _told(evidence, now_us)) if wait is not None), None)


def next_utc_hour_us(now_us: int, hour: int) -> int:
    """Microseconds from `now_us` to the next time it is `hour` o'clock UTC."""
    return (hour * 3600 * _SECOND - now_us) % _DAY or _DAY


def _told(evidence: Evidence, now_us: int) -> Iterator[float | None]:
    """Seconds by each source, best first."""
    headers = evidence.headers
    milliseconds = _number(headers.get("retry-after-ms"))
    yield milliseconds / 1000 if milliseconds is not None else None
    after = headers.get("retry-after")
    seconds = _number(after)
    yield seconds if seconds is not None else _until_date(after, now_us)
    for detail in evidence.details:
        delay = detail.get("retryDelay")
        yield parse_duration(delay) if isinstance(delay, str) else None
    yield _openrouter_reset(evidence.metadata, now_us)
    yield wait_in_words(evidence.message)


def _sane(seconds: float | None) -> int | None:
    if seconds is None or not 0 < seconds * _SECOND < _ABSURD_US:
        return None
    return min(max(1, int(seconds * _SECOND)), LONGEST_WAIT_US)


def _number(text: str | None) -> float | None:
    """Seconds as a plain decimal; `parse_duration` would also take units."""
    text = (text or "").strip()
    return parse_duration(text) if text.replace(".", "", 1).isdigit() else None


def _until_date(text: str | None, now_us: int) -> float | None:
    """Seconds until an HTTP date."""
    try:
        moment = parsedate_to_datetime(text or "")
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp() - now_us / _SECOND
    except (ValueError, OverflowError):
        return None


def _openrouter_reset(metadata: Mapping[str, object], now_us: int) -> float | None:
    headers = metadata.get("headers")
    reset = headers.get("X-RateLimit-Reset") if isinstance(headers, dict) else None
    moment = _number(str(reset)[:20]) if isinstance(reset, str | int) else None
    if moment is None:
        return None
    in_seconds = moment / 1000 if moment >= _SMALLEST_MILLISECONDS else moment
    return in_seconds - now_us / _SECOND


def _exhausted(headers: Mapping[str, str]) -> float | None:
    """Seconds until the dimension with nothing left is full again; the longer one where both are empty."""
    hints = rate_hints(headers, host="")
    resets = [
        reset
        for remaining, reset in (
            (hints.remaining_requests, hints.reset_requests),
            (hints.remaining_tokens, hints.reset_tokens),
        )
        if remaining == 0 and reset is not None
    ]
    return max(resets, default=None)
