"""Parses how long a server says to wait, in the spellings that servers use."""

import re
from datetime import datetime
from typing import Final

from batcher.policy.wording.identifiers import as_words

_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_GO: Final = re.compile(
    rf"(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?",
)
_BARE: Final = re.compile(_NUMBER)
_GO_UNITS: Final = (3600.0, 60.0, 1.0, 0.001)

_PART: Final = re.compile(
    rf"{_NUMBER}\s*(days?|d|hours?|h|minutes?|mins?|milliseconds?|ms|m|seconds?|secs?|s)(?![a-z])", re.IGNORECASE
)
_UNITS: Final = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
    "milliseconds": 0.001,
    "millisecond": 0.001,
}
_BARE_IN_WORDS: Final = re.compile(rf"{_NUMBER}(?![\w:-])(?!\s+[a-z])", re.IGNORECASE)
#: "retry_after: 30" is found, too. A number alone counts after these, but not after "wait": "wait 3 times".
_AFTER: Final = re.compile(
    r"\b(?:try(?:ing)? again|retry(?:ing)?|will reset|resets|replenished)\s+(?:in|after)\s*[:=]?\s*",
    re.IGNORECASE,
)
#: Azure API Management's: `02:10:05`, and `5.03:23:11` with days.
_CLOCK: Final = re.compile(r"(?:([0-9]{1,3})\.)?([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?![\w:-])")
#: A request to wait; "the maximum wait 30 s was exceeded" is none.
_WAIT: Final = re.compile(
    r"(?:^|[.;:,!]\s*|\b(?:please|must|should|to|and|or|then)\s+)wait\s+"
    r"(?:for\s+|at least\s+|another\s+|about\s+|approximately\s+|~\s*)*",
    re.IGNORECASE,
)
#: Only with a time zone, without which it can be any hour.
_MOMENT: Final = re.compile(
    r"\b(?:resets?|try again|retry|available)\s+(?:again\s+)?(?:at|after|on)?\s*:?\s*"
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?\s?(Z|UTC|[+-][0-9]{2}:[0-9]{2})",
    re.IGNORECASE,
)


def parse_duration(text: str) -> float | None:
    """Return the seconds of a Go duration (`6m0s`, `12ms`, `23h18m29.144s`) or a bare number; None if unreadable.

    None means "unknown" and is never 0: an unreadable reset must not open a gate.
    """
    text = text.strip()
    if _BARE.fullmatch(text):
        return float(text)
    found = _GO.fullmatch(text) if text else None
    if found is None:
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _GO_UNITS, strict=True) if part)


def duration_with_units(text: str) -> float | None:
    """Return the seconds of a text that is a duration and nothing else: `30s`, `1 min 5 s`, `00:00:30`."""
    text = text.strip()
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return _of_clock(clock)
    found = _PART.match(text)
    return _parts_at(text, 0) if found and not _PART.sub("", text).strip() else None


def wait_in_words(message: str) -> float | None:
    """Return the seconds after "try again in", "retry after", "will reset after" or "please wait".

    In every spelling: `1.2s`, `7m12s`, `37 seconds`, `6h12m`, and `5` except after "wait".
    """
    text = as_words(message)
    phrase = _AFTER.search(text)
    if phrase is not None:
        clock = _CLOCK.match(text, phrase.end())
        if clock is not None:
            return _of_clock(clock)
        seconds = _parts_at(text, phrase.end())
        bare = _BARE_IN_WORDS.match(text, phrase.end()) if seconds is None else None
        return float(bare[1]) if bare else seconds
    phrase = _WAIT.search(text)
    return _parts_at(text, phrase.end()) if phrase else None


def moment_in_words(message: str) -> float | None:
    """Return the UTC timestamp after "resets at" or "try again at": `2026-11-29 01:05:21 UTC`, `…T01:05:21Z`."""
    found = _MOMENT.search(message)
    if found is None:
        return None
    zone = "+00:00" if found[3].upper() in {"Z", "UTC"} else found[3]
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").timestamp()
    except ValueError:
        return None


def _parts_at(text: str, start: int) -> float | None:
    end = start
    seconds = 0.0
    while part := _PART.match(text, end):
        seconds += float(part[1]) * _unit(part[2].lower())
        end = _next_part(text, part.end())
    return seconds if end > start else None


def _of_clock(found: re.Match[str]) -> float:
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds


def _unit(name: str) -> float:
    return _UNITS.get(name) or _UNITS[name[0]]


def _next_part(message: str, end: int) -> int:
    """Skip the blanks between `6h` and `12m`."""
    while message[end : end + 1] == " ":
        end += 1
    return end
