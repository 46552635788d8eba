"""Parses how long a server says to wait, in the spellings that servers use."""

import re
from typing import Final

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
_AFTER: Final = re.compile(r"\b(?:try again|retry)\s+(?:in|after)\s+", re.IGNORECASE)


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


def wait_in_words(message: str) -> float | None:
    """Return the seconds after "try again in" or "retry after": `1.2s`, `7m12s`, `37 seconds`, `6h12m`, `5`."""
    phrase = _AFTER.search(message)
    if phrase is None:
        return None
    start = end = phrase.end()
    seconds = 0.0
    while part := _PART.match(message, end):
        seconds += float(part[1]) * _unit(part[2].lower())
        end = _next_part(message, part.end())
    if end > start:
        return seconds
    bare = _BARE_IN_WORDS.match(message, start)
    return float(bare[1]) if bare else None


def _unit(name: str) -> float:
    return _UNITS.get(name) or _UNITS[name[0]]


def _next_part(message: str, end: int) -> int:
    """Skip the blanks between `6h` and `12m`."""
    while message[end : end + 1] == " ":
        end += 1
    return end
