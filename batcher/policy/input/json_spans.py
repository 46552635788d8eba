"""Byte offsets of the members of a JSON object or list. For JSON that is known to be valid."""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_KEY: Final = re.compile(_STRING)
_SCALAR: Final = re.compile(_STRING + rb"|[^\s,\]}]+")
_STRUCTURE: Final = re.compile(_STRING + rb"|[\[{]|[\]}]")
_GAP: Final = re.compile(rb"[ \t\r\n]*")
_COLON: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_COMMA: Final = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")


class Member(Struct, frozen=True, kw_only=True):
    """A member of an object, by byte offsets: `raw[start:value_start]` is key and colon, then comes the value."""

    key: str
    start: int
    value_start: int
    end: int


def members(raw: bytes) -> Iterator[Member]:
    """Yield the top-level members of an object in file order, repeated keys included."""
    at = _skip(_GAP, raw, _skip(_GAP, raw, 0) + 1)
    while raw[at : at + 1] == b'"':
        key_end = _skip(_KEY, raw, at)
        value_start = _skip(_COLON, raw, key_end)
        end = _value_end(raw, value_start)
        key = msgspec.json.decode(raw[at:key_end], type=str)
        yield Member(key=key, start=at, value_start=value_start, end=end)
        at = _skip(_COMMA, raw, end)


def elements(raw: bytes) -> Iterator[Member]:
    """Yield the items of a list, each keyed by its index from 0; `start` is `value_start`."""
    at = _skip(_GAP, raw, _skip(_GAP, raw, 0) + 1)
    index = 0
    while at < len(raw) and raw[at : at + 1] not in (b"]", b","):
        end = _value_end(raw, at)
        yield Member(key=str(index), start=at, value_start=at, end=end)
        index += 1
        comma = _COMMA.match(raw, end)
        at = len(raw) if comma is None else comma.end()


def without_member(raw: bytes, member: Member) -> bytes:
    """Return the object or list without one of its members, and without the comma that joined it."""
    comma_behind = _COMMA.match(raw, member.end)
    if comma_behind is not None:
        return raw[: member.start] + raw[comma_behind.end() :]
    before = raw[: member.start].rstrip(b" \t\r\n")
    kept = before[:-1] if before.endswith(b",") else raw[: member.start]
    return kept + raw[member.end :]


def lone_member(raw: bytes, key: str, at: int) -> Member:
    """Return the member whose plainly spelled key is at `at`, for a caller that has found it without a scan."""
    value_start = _skip(_COLON, raw, at + len(key) + 2)
    return Member(key=key, start=at, value_start=value_start, end=_value_end(raw, value_start))


def _value_end(raw: bytes, start: int) -> int:
    if raw[start : start + 1] not in (b"{", b"["):
        return _skip(_SCALAR, raw, start)
    depth = 0
    for token in _STRUCTURE.finditer(raw, start):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    raise ValueError("not valid JSON: a bracket is not closed")


def _skip(pattern: re.Pattern[bytes], raw: bytes, at: int) -> int:
    found = pattern.match(raw, at)
    return at if found is None else found.end()
