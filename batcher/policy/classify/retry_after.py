"""When a server says to come back, in every spelling of docs/providers.md#retry-after.

`rate_hints` and `parse_duration` are defined in other modules and can be imported from here, too.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from batcher.policy.classify.durations import duration_with_units, moment_in_words, parse_duration, wait_in_words
from batcher.policy.classify.error_body import Evidence, unwrapped
from batcher.policy.classify.rate_headers import rate_hints

__all__ = ["parse_duration", "rate_hints", "retry_after_us", "stated_wait_us"]

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
#: Longer waits are cut to this: after a week the server is asked again.
LONGEST_WAIT_US: Final = 7 * _DAY
#: A longer value is a timestamp, not a duration.
_ABSURD_US: Final = 400 * _DAY
#: X-RateLimit-Reset is a point in time in milliseconds; some gateways send it in seconds.
_SMALLEST_MILLISECONDS: Final = 10**11
#: Some send a duration. Larger numbers of seconds are a point in time: this one is in 2001.
_SMALLEST_MOMENT: Final = 10**9
#: What remains and when it resets, in headers that do not say of what: the IETF draft's until version 6, and its
#: older spellings.
_PLAIN_RESETS: Final = ("ratelimit", "x-ratelimit", "x-rate-limit")
#: Version 7: `limit=100, remaining=0, reset=30`. From version 8: `"default";r=0;t=30, "daily";r=9;t=99`.
#: A header that was sent twice, as a proxy joins it.
_SAME_TWICE: Final = re.compile(r"([0-9.]+)(?:\s*,\s*\1)+")
#: Members of a body that state a wait. Milliseconds if the name ends so, else seconds or a duration with units.
_WAIT_MEMBERS: Final = (
    "retry_after_ms",
    "retryAfterMs",
    "retry_after",
    "retryAfter",
    "retry-after",
    "retry_after_seconds",
    "retryAfterSeconds",
    # Google's ErrorInfo.
    "quotaResetDelay",
)
_MOST_OF_A_WAIT: Final = 40
_PAIR: Final = re.compile(r"\b(remaining|reset|r|t)\s*=\s*([0-9]{1,15})(?![0-9.])")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


def retry_after_us(evidence: Evidence, now_us: int, *, host: str) -> int | None:
    """Return the microseconds from `now_us` until a retry makes sense; None if the server does not say.

    For a refusal (429) that states no time, it is the reset of a limit that has nothing left.
    """
    stated = stated_wait_us(evidence, now_us)
    if stated is not None:
        return stated
    resets = (_exhausted(evidence.headers, host), *_of_an_unnamed_limit(evidence.headers, now_us))
    return next((wait for wait in map(_sane, resets) if wait is not None), None)


def stated_wait_us(evidence: Evidence, now_us: int) -> int | None:
    """Return the wait that the reply states explicitly: in a header, the body or the message, in this order.

    A time that is zero, past, negative or absurd counts as not stated, and the next source is used.
    """
    return next((wait for wait in map(_sane, _stated(evidence, now_us)) if wait is not None), None)


def next_utc_hour_us(now_us: int, hour: int) -> int:
    """Return the microseconds from `now_us` to the next time it is `hour` o'clock UTC."""
    return (hour * 3600 * _SECOND - now_us) % _DAY or _DAY


def _stated(evidence: Evidence, now_us: int) -> Iterator[float | None]:
    """Yield the seconds stated by each source, the best first."""
    headers = evidence.headers
    milliseconds = _number(headers.get("retry-after-ms"))
    yield milliseconds / 1000 if milliseconds is not None else None
    yield _until(headers.get("retry-after", ""), _server_time_us(headers, now_us))
    for detail in evidence.details:
        delay = detail.get("retryDelay")
        yield parse_duration(delay) if isinstance(delay, str) else None
    yield _openrouter_reset(evidence.metadata, now_us)
    yield from _in_members(evidence, now_us)
    yield _estimated_time(evidence.document)
    yield wait_in_words(evidence.message)
    moment = moment_in_words(evidence.message)
    yield moment - now_us / _SECOND if moment is not None else None


def _sane(seconds: float | None) -> int | None:
    if seconds is None or not 0 < seconds * _SECOND < _ABSURD_US:
        return None
    return min(max(1, int(seconds * _SECOND)), LONGEST_WAIT_US)


def _number(text: str | None) -> float | None:
    """Parse seconds as a plain decimal; `parse_duration` would also accept units."""
    text = (text or "").strip()
    return parse_duration(text) if text.replace(".", "", 1).isdigit() else None


def _until(text: str, now_us: int) -> float | None:
    """Return the seconds until a `Retry-After`: a number or an HTTP date.

    Servers also send units (`30s`), a timestamp, an ISO date, and a value twice (`60, 60`).
    """
    text = text.strip()
    twice = _SAME_TWICE.fullmatch(text)
    if twice is not None:
        text = twice[1]
    seconds = _until_reset(text, now_us)
    if seconds is None:
        seconds = duration_with_units(text)
    return seconds if seconds is not None else _until_date(text, now_us)


def _server_time_us(headers: Mapping[str, str], now_us: int) -> int:
    """Return the time of the reply by the server's clock, from which its dates count: this one may be wrong."""
    since = _until_date(headers.get("date", ""), now_us)
    return now_us if since is None else now_us + int(since * _SECOND)


def _until_date(text: str, now_us: int) -> float | None:
    """Return the seconds until an HTTP date."""
    try:
        moment = parsedate_to_datetime(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return aware.timestamp() - now_us / _SECOND
    except (ValueError, OverflowError):
        return None


def _in_members(evidence: Evidence, now_us: int) -> Iterator[float | None]:
    """Yield the waits that members of the body state, such as Cloudflare's `retry_after`."""
    for node in _nodes(evidence):
        for name in _WAIT_MEMBERS:
            value = node.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                seconds = _until(str(value)[:_MOST_OF_A_WAIT], now_us)
                in_milliseconds = name.lower().endswith("ms") and seconds is not None
                yield seconds / 1000 if in_milliseconds and seconds is not None else seconds


def _nodes(evidence: Evidence) -> Iterator[Mapping[str, object]]:
    """Yield the objects of an error body in which a wait can stand."""
    root = unwrapped(evidence.document)
    if not isinstance(root, dict):
        return
    error = unwrapped(root.get("error"))
    nodes = [error, evidence.metadata, *evidence.details, root]
    nodes += [node.get("metadata") for node in evidence.details]
    nodes += [error.get("details")] if isinstance(error, dict) else []
    yield from (node for node in nodes if isinstance(node, dict))


def _openrouter_reset(metadata: Mapping[str, object], now_us: int) -> float | None:
    headers = metadata.get("headers")
    reset = headers.get("X-RateLimit-Reset") if isinstance(headers, dict) else None
    moment = _number(str(reset)[:20]) if isinstance(reset, str | int) else None
    return None if moment is None else _until_moment(moment, now_us)


def _until_moment(moment: float, now_us: int) -> float:
    """Return the seconds until a timestamp in seconds or milliseconds."""
    in_seconds = moment / 1000 if moment >= _SMALLEST_MILLISECONDS else moment
    return in_seconds - now_us / _SECOND


def _estimated_time(document: object) -> float | None:
    """Return the seconds until a model is loaded (Hugging Face)."""
    root = unwrapped(document)
    estimate = root.get("estimated_time") if isinstance(root, dict) else None
    return float(estimate) if isinstance(estimate, int | float) and not isinstance(estimate, bool) else None


def _exhausted(headers: Mapping[str, str], host: str) -> float | None:
    """Return the seconds until the limit with nothing left is full again; if both are empty, the longer time."""
    hints = rate_hints(headers, host=host)
    resets = [
        reset
        for remaining, reset in (
            (hints.remaining_requests, hints.reset_requests),
            (hints.remaining_tokens, hints.reset_tokens),
        )
        if remaining == 0 and reset is not None
    ]
    return max(resets, default=None)


def _of_an_unnamed_limit(headers: Mapping[str, str], now_us: int) -> Iterator[float | None]:
    """Yield the reset of a limit that has nothing left, from headers that do not say what they limit.

    A limit that states no remaining amount counts as used up, because the request has been refused.
    """
    yield _of_structured_limits(headers.get("ratelimit", ""))
    for prefix in _PLAIN_RESETS:
        if _number(headers.get(f"{prefix}-remaining")) in {None, 0}:
            yield _until_reset(headers.get(f"{prefix}-reset", "").strip(), now_us)


def _of_structured_limits(value: str) -> float | None:
    """Return the longest reset of the limits with nothing left in a `RateLimit` header of the IETF draft."""
    text = _QUOTED.sub("", value)
    # In version 7 commas separate the parts of one limit, later the limits.
    limits = [text] if "remaining" in text else text.split(",")
    parts = [dict(_PAIR.findall(limit)) for limit in limits]
    resets = [
        float(part.get("reset") or part.get("t") or 0)
        for part in parts
        if int(part.get("remaining") or part.get("r") or 1) == 0
    ]
    return max(resets, default=None)


def _until_reset(reset: str, now_us: int) -> float | None:
    """Return the seconds until a reset: a duration, a timestamp in seconds or milliseconds, or an ISO date."""
    number = _number(reset[:20])
    if number is not None:
        return _until_moment(number, now_us) if number >= _SMALLEST_MOMENT else number
    duration = parse_duration(reset)
    if duration is not None or not reset:
        return duration
    try:
        moment = datetime.fromisoformat(reset)
    except ValueError:
        return None
    return moment.timestamp() - now_us / _SECOND if moment.tzinfo else None
