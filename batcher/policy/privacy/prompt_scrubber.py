"""Removes what a provider's message quotes from a prompt."""

import json
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

#: This many equal characters in a row, in a prompt and in a message, count as a quotation.
_QUOTED: Final = 6
#: From this length on, a whole text is searched for.
_SHORTEST: Final = 3
#: Bodies that are larger together are not compared; the whole message is removed.
_MOST_BYTES: Final = 1 << 20
_HIDDEN: Final = "[prompt]"


class Prompt(Struct, frozen=True, kw_only=True):
    """The words of a request, ready to be searched: in lower case, as they are and as JSON escapes them."""

    #: All texts, separated by NUL. None: too much to compare.
    together: str | None
    #: Texts shorter than a quotation, searched for whole.
    short: frozenset[str]

    def __repr__(self) -> str:
        return "Prompt(…)"


def prompt_of(bodies: Iterable[bytes], *, more: Iterable[str] = (), keep: Iterable[str] = ()) -> Prompt:
    """Return the words of these bodies, names of members included, and of `more`.

    `keep` are texts that a message may repeat: the model's name, the words of the API.
    """
    all_bodies = tuple(bodies)
    if sum(map(len, all_bodies)) > _MOST_BYTES:
        return Prompt(together=None, short=frozenset())
    kept = set(keep)
    texts = {text for body in all_bodies for text in _texts_of(body)} | set(more)
    spelled = {form for text in texts - kept for form in (_folded(text), _folded(json.dumps(text)[1:-1]))}
    return Prompt(
        together="\0".join(sorted(text for text in spelled if len(text) >= _QUOTED)),
        short=frozenset(text for text in spelled if _SHORTEST <= len(text) < _QUOTED),
    )


def without_quotations(message: str, prompt: Prompt) -> str:
    """Return the message with `[prompt]` in place of what it repeats of the prompt, ignoring case.

    Common words that both contain are removed, too: a gap is better than a leak.
    """
    if prompt.together is None:
        return f"[{len(message)} characters, left out]"
    folded = _folded(message)
    hidden = [False] * len(folded)
    for start in range(len(folded) - _QUOTED + 1):
        if folded[start : start + _QUOTED] in prompt.together:
            hidden[start : start + _QUOTED] = [True] * _QUOTED
    for text in prompt.short:
        at = folded.find(text)
        while at >= 0:
            hidden[at : at + len(text)] = [True] * len(text)
            at = folded.find(text, at + 1)
    return _rewritten(message, hidden)


def _texts_of(body: bytes) -> list[str]:
    try:
        return list(_texts(msgspec.json.decode(body)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [body.decode("utf-8", "replace")]


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _folded(text: str) -> str:
    """Return lower case, letter by letter, so that the number of characters does not change."""
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)


def _rewritten(message: str, hidden: list[bool]) -> str:
    parts: list[str] = []
    for at, char in enumerate(message):
        if not hidden[at]:
            parts.append(char)
        elif at == 0 or not hidden[at - 1]:
            parts.append(_HIDDEN)
    return "".join(parts)
