"""Strict JSON: what providers might read differently is refused, with a reason.

msgspec does the work. It refuses NaN, bad escapes, bad UTF-8 and floats beyond a double by itself. Integers beyond
a double and deep nesting are searched for only if a cheap count says that they may be there. The reason of a
refusal is found afterwards, by the standard library's slower reader.
"""

import json
import math
import re
from typing import Final, NoReturn

import msgspec

#: Maximum nesting of arrays and objects, the outermost included.
MAX_DEPTH: Final = 100
#: Maximum bytes of a line, without its end.
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
TOO_LONG: Final = "the line is longer than 64 MiB; make the request smaller"
TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep; flatten it"

#: The smallest integer beyond a double has 309 digits.
_PAST_DOUBLE_DIGITS: Final = 309
_LONG_NUMBER: Final = re.compile(rb"[0-9]{%d}" % _PAST_DOUBLE_DIGITS)
_DIGIT: Final = re.compile(rb"[0-9]")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ROUND: Final = bytes.maketrans(b"[]{}", b"()()")
#: A pair of surrogate escapes is complete; a lone one (group 1) is not. Other escapes are skipped.
_ESCAPE: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_read = msgspec.json.Decoder().decode


class InvalidJson(Exception):
    """The line is refused; the reason says what is wrong and how to fix it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_strictly(raw: bytes) -> object:
    """Return the value of one JSON document. Raises InvalidJson with a reason for people."""
    if len(raw) > MAX_LINE_BYTES:
        raise InvalidJson(TOO_LONG)
    try:
        value: object = _read(raw)
    except RecursionError:
        raise InvalidJson(TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _explain(raw, str(error))
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _deeper_than(raw, MAX_DEPTH):
        raise InvalidJson(TOO_DEEP)
    if _may_hold_long_number(raw):
        _read_slowly(raw.decode())
    return value


def _may_hold_long_number(raw: bytes) -> bool:
    """Return whether there may be 309 digits in a row.

    Such a run covers one of every 309 bytes, so those are checked first.
    """
    sample = raw[_PAST_DOUBLE_DIGITS - 1 :: _PAST_DOUBLE_DIGITS]
    return bool(sample) and _DIGIT.search(sample) is not None and _LONG_NUMBER.search(raw) is not None


def _deeper_than(raw: bytes, limit: int) -> bool:
    """Return whether valid JSON nests deeper: each round removes empty pairs, and so one level."""
    brackets = _STRING.sub(b"", raw).translate(_ROUND, _NO_BRACKETS)
    for _ in range(limit):
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)


def _explain(raw: bytes, fallback: str) -> NoReturn:
    """Raise the reason why msgspec did not accept the line."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidJson(f"not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    _read_slowly(text)
    lone = next((found[1] for found in _ESCAPE.finditer(text) if found[1]), None)
    if lone is not None:
        raise InvalidJson(f"a lone surrogate ({lone}) is half a character; remove it or complete the pair")
    raise InvalidJson(f"not JSON: {fallback}")


def _read_slowly(text: str) -> None:
    """Raise InvalidJson if the standard library finds a cause, including NaN and numbers beyond a double."""
    try:
        json.loads(text, parse_float=_within_double, parse_int=_within_double, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidJson(TOO_DEEP) from None
    except json.JSONDecodeError as error:
        if text.startswith("\ufeff"):
            raise InvalidJson(
                "a BOM (byte order mark) within the file; remove it, only the file's start may have one"
            ) from None
        if error.pos >= len(text.rstrip()):
            raise InvalidJson("not JSON: it ends too early; a request must be complete on one line") from None
        what = error.msg[:1].lower() + error.msg[1:].removesuffix(" at")
        raise InvalidJson(f"not JSON: {what} (character {error.pos + 1})") from None


def _within_double(literal: str) -> None:
    if math.isinf(float(literal)):
        shown = literal if len(literal) <= 24 else f"{literal[:20]}…"  # noqa: PLR2004 - a reason stays short
        raise InvalidJson(f"the number {shown} is beyond a double; use a smaller one, or a string")


def _no_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON; use a number, a string or null")
