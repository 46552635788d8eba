r"""Edits a request's body at dotted paths, such as `messages.0.content`, and keeps all other bytes.

A number names an item of a list, from 0. A dot, a backslash or an equals sign within a key is written with a
backslash before it. If a key occurs twice, the last one counts, as it does for JSON readers.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from batcher.domain.errors import UsageError
from batcher.policy.input.json_spans import Member, elements, members, without_member
from batcher.policy.input.strict_json import MAX_DEPTH, InvalidJson, read_strictly

_SET: Final = re.compile(r"((?:[^\\=]|\\.)*)=(.*)", re.DOTALL)
_STEP: Final = re.compile(r"(?:^|\.)((?:[^\\.]|\\.)*)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SPACES: Final = b" \t\r\n"
#: An index with more digits is past the end of every list.
_MOST_DIGITS: Final = 9
#: Words that an advice has in place of what only a person knows.
_PLACEHOLDERS: Final = frozenset({"VALUE", "MODEL", "N"})
_NAMES: Final = {b'"': "a string", b"t": "true", b"f": "false", b"n": "null"}
_encode: Final = msgspec.json.Encoder().encode


class CannotEdit(Exception):
    """The body has no such place; the reason says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Edit(Struct, frozen=True, kw_only=True):
    """One change of a body. `value` is JSON on one line; None removes what is at the path, or moves it there."""

    path: tuple[str, ...]
    value: bytes | None = None
    #: The path from which the value is moved to `path`.
    source: tuple[str, ...] | None = None


def read_set(text: str, *, option: str = "") -> Edit:
    """Parse `PATH=VALUE`; the value is JSON if it parses, else a string. Raises UsageError.

    `option`: what comes before the text where a person writes it, with a space, for the error.
    """
    found = _SET.fullmatch(text)
    flag = f"{option}{text}"
    if found is None:
        raise UsageError(f"{flag} has no `=`", hint=f"write {option}PATH=VALUE, such as {option}max_tokens=500")
    if found[2] in _PLACEHOLDERS or found[1] == "PATH":
        word = found[2] if found[2] in _PLACEHOLDERS else found[1]
        raise UsageError(
            f"{flag}: {word} stands for what you choose; nothing was changed",
            hint=f"write the value itself, such as {option}max_tokens=500",
        )
    return Edit(path=_path(found[1], flag=flag), value=_value(found[2], flag=flag))


def read_unset(text: str, *, option: str = "") -> Edit:
    """Parse `PATH`. Raises UsageError."""
    return Edit(path=_path(text, flag=f"{option}{text}"))


def read_move(text: str, *, option: str = "") -> Edit:
    """Parse `FROM=TO`, two paths. Raises UsageError."""
    found = _SET.fullmatch(text)
    flag = f"{option}{text}"
    if found is None:
        hint = f"write {option}FROM=TO, such as {option}max_tokens=max_completion_tokens"
        raise UsageError(f"{flag} has no `=`", hint=hint)
    return Edit(path=_path(found[2], flag=flag), source=_path(found[1], flag=flag))


def edited(body: bytes, edits: Sequence[Edit]) -> bytes:
    """Return the body, a JSON object, with these changes. Raises CannotEdit.

    A missing member is added at the end of its object; removing or moving a missing one changes nothing. Values
    are moved first, in the order given. Other indexes refer to the body as it is then: values are set, then items
    are removed from the last one on.
    """
    taken_out = [edit for edit in edits if edit.value is None and edit.source is None]
    for edit in edits:
        if edit.source is not None and (value := _get(body, edit.source, ())) is not None:
            body = _set(_unset(body, edit.source, ()), edit.path, value, ())
    for edit in edits:
        if edit.value is not None:
            body = _set(body, edit.path, edit.value, ())
    for edit in sorted(taken_out, key=_from_the_end):
        body = _unset(body, edit.path, ())
    return body


def has(body: bytes, path: Sequence[str]) -> bool:
    """Return whether the body has something at the path."""
    try:
        return _get(body, path, ()) is not None
    except CannotEdit:
        return False


def keys_beside(body: bytes, path: Sequence[str]) -> list[str]:
    """Return the keys of the object that the path's last step is looked for in; [] if there is no such object."""
    try:
        parent = body if len(path) == 1 else _get(body, path[:-1], ())
    except CannotEdit:
        parent = None
    return [each.key for each in members(parent)] if parent is not None and _opening(parent) == b"{" else []


def shown(path: Sequence[str]) -> str:
    """Return the path as people write it."""
    return ".".join(re.sub(r"([\\.=])", r"\\\1", step) for step in path)


def _path(text: str, *, flag: str) -> tuple[str, ...]:
    steps: list[str] = _STEP.findall(text)
    if ".".join(steps) != text:
        raise UsageError(f"{flag}: the path ends in a lone backslash", hint="write a backslash as two")
    if "" in steps:
        raise UsageError(f"{flag}: a part of the path is empty", hint="write it as messages.0.content")
    if len(steps) > MAX_DEPTH:
        raise UsageError(f"{flag}: the path is deeper than {MAX_DEPTH} levels", hint="no body nests that deep")
    return tuple(_ESCAPED.sub(r"\1", step) for step in steps)


def _value(text: str, *, flag: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{flag}: the value is not UTF-8", hint="give it as UTF-8") from None
    try:
        read_strictly(raw)
    except InvalidJson:
        return _encode(text)
    # Within a JSON string a line break is escaped, so these are between tokens.
    return raw.strip(_SPACES).replace(b"\n", b" ").replace(b"\r", b" ")


def _from_the_end(edit: Edit) -> tuple[tuple[int, int, str], ...]:
    """Sort key: items of one list from the last to the first, what is within an item before the item itself."""
    steps = ((0, -int(step), "") if _is_number(step) else (1, 0, step) for step in edit.path)
    return (*steps, (2, 0, ""))


def _is_number(step: str) -> bool:
    return step.isascii() and step.isdigit() and len(step) <= _MOST_DIGITS


def _set(raw: bytes, path: Sequence[str], value: bytes, walked: tuple[str, ...]) -> bytes:
    """Return the value `raw` with what is at `path` in it replaced; `walked` is the path so far, for errors."""
    if not path:
        return value
    member = _find(raw, path[0], walked)
    if member is None:
        return _with_member(raw, path[0], _nested(path[1:], value))
    inner = _set(raw[member.value_start : member.end], path[1:], value, (*walked, path[0]))
    return raw[: member.value_start] + inner + raw[member.end :]


def _get(raw: bytes, path: Sequence[str], walked: tuple[str, ...]) -> bytes | None:
    """Return the value at `path`; None if there is none."""
    member = _find(raw, path[0], walked)
    if member is None:
        return None
    value = raw[member.value_start : member.end]
    return value if len(path) == 1 else _get(value, path[1:], (*walked, path[0]))


def _unset(raw: bytes, path: Sequence[str], walked: tuple[str, ...]) -> bytes:
    member = _find(raw, path[0], walked)
    if member is None:
        return raw
    if len(path) > 1:
        inner = _unset(raw[member.value_start : member.end], path[1:], (*walked, path[0]))
        return raw[: member.value_start] + inner + raw[member.end :]
    if _opening(raw) == b"[":
        return without_member(raw, member)
    while member is not None:
        raw = without_member(raw, member)
        member = _find(raw, path[0], walked)
    return raw


def _find(raw: bytes, step: str, walked: tuple[str, ...]) -> Member | None:
    """Return the member or item; None if the object has no such member. Raises CannotEdit."""
    where = f"`{shown(walked)}`" if walked else "the body"
    match _opening(raw):
        case b"{":
            return next((each for each in reversed(list(members(raw))) if each.key == step), None)
        case b"[":
            items = list(elements(raw))
            if not (step.isascii() and step.isdigit()):
                raise CannotEdit(f"{where} is a list; `{step}` is not the number of an item")
            if not _is_number(step) or int(step) >= len(items):
                count = "1 item" if len(items) == 1 else f"{len(items)} items"
                raise CannotEdit(f"{where} has {count}, numbered from 0; there is no item {step}")
            return items[int(step)]
        case other:
            raise CannotEdit(f"{where} is {_NAMES.get(other, 'a number')}; it has no `{step}`")


def _opening(raw: bytes) -> bytes:
    return raw.lstrip(_SPACES)[:1]


def _with_member(raw: bytes, key: str, value: bytes) -> bytes:
    member = b"%b: %b" % (_encode(key), value)
    ends = [each.end for each in members(raw)]
    at = ends[-1] if ends else raw.index(b"{") + 1
    return raw[:at] + (b", " if ends else b"") + member + raw[at:]


def _nested(path: Sequence[str], value: bytes) -> bytes:
    for step in reversed(path):
        value = b"{%b: %b}" % (_encode(step), value)
    return value
