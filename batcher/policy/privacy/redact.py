"""Removes keys from what a provider sent: whole, escaped, or masked (`sk-ab****wxyz`).

What is not secret stays, because a reply is the user's data: `sk-...` is how documentation spells a key, and
`EMPTY` is what people give to servers that need none.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

_MARK = b"[key]"
#: Reject keys too short to redact: such a string occurs in ordinary replies. They are allowed only for loopback
#: and private hosts.
SHORTEST_SEARCHED = 4
#: Shorter keys are searched for only as whole words.
_SHORTEST_MASKED = 8
#: What people write if a server asks for a key and checks none.
_PLACEHOLDERS = frozenset(
    {
        b"empty",
        b"none",
        b"null",
        b"test",
        b"dummy",
        b"local",
        b"ollama",
        b"vllm",
        b"nokey",
        b"no-key",
        b"lm-studio",
    }
)

#: The public words before the random part: `sk-`, `sk-proj-`, `sk-ant-api03-`, `gsk_`.
_PUBLIC_PREFIX = re.compile(rb"(?:[a-z]{1,6}[0-9]{0,2}[-_]){0,3}")
#: Least length of a leading part, of a trailing part after a public prefix, and of a trailing part by itself.
_FEWEST_LEADING, _FEWEST_AFTER_PREFIX, _FEWEST_TRAILING = 3, 2, 4
#: Asterisks, three or more dots, an ellipsis or bullets, also as JSON escapes.
_MASK = re.compile(rb"\*+|\.{3,}|(?:\xe2\x80[\xa2\xa6])+|(?:\\u202[26])+")
_NOTHING = re.compile(rb"(?!)")
_PLAIN_RUN = re.compile(rb"[A-Za-z0-9_-]+")


class _Search(Struct, frozen=True, kw_only=True):
    """What to search for because of one key."""

    #: At least one of them is part of every spelling that is replaced; empty: nothing is searched for.
    needles: tuple[bytes, ...]
    whole: re.Pattern[bytes]
    #: The key whose masked spellings are searched for, too; empty: none.
    masked: bytes = b""
    #: A leading part up to this length is not secret.
    public: int = 0

    def __repr__(self) -> str:
        return "_Search(…)"


def redact(data: bytes, secrets: Sequence[bytes]) -> bytes:
    """Return the data with `[key]` in place of each secret; the same object if there is none."""
    for secret in secrets:
        search = _search_for(secret)
        for needle in search.needles:
            if needle in data:
                data = _replace(data, search)
                break
    return data


def redact_text(text: str, secrets: Sequence[bytes]) -> str:
    """Redact text, lone surrogates included."""
    data = text.encode("utf-8", "surrogatepass")
    clean = redact(data, secrets)
    return text if clean is data else clean.decode("utf-8", "surrogatepass")


@lru_cache(maxsize=64)
def _search_for(secret: bytes) -> _Search:
    size = len(secret)
    if size < SHORTEST_SEARCHED or secret.lower() in _PLACEHOLDERS:
        return _Search(needles=(), whole=_NOTHING)
    spelled = b"".join(_spellings(byte) for byte in secret)
    needle = max(_PLAIN_RUN.findall(secret), key=len, default=b"")
    if size < _SHORTEST_MASKED:
        word = re.compile(rb"(?<![A-Za-z0-9])" + spelled + rb"(?![A-Za-z0-9])")
        return _Search(needles=(needle,), whole=word)
    prefix = _PUBLIC_PREFIX.match(secret)
    head, tail = secret[:_FEWEST_LEADING], secret[-_FEWEST_TRAILING:]
    whole = () if _PLAIN_RUN.fullmatch(head) else (needle,)
    return _Search(
        needles=(head, tail, *whole),
        whole=re.compile(spelled),
        masked=secret,
        public=min(prefix.end() if prefix else 0, size // 2),
    )


def _spellings(byte: int) -> bytes:
    """Return a pattern for one byte of a key: itself, percent-encoded, or escaped as in JSON."""
    char = bytes((byte,))
    if _PLAIN_RUN.fullmatch(char):
        return char
    return rb"(?:\\?%s|%%(?i:%02x)|\\u(?i:%04x))" % (re.escape(char), byte, byte)


def _replace(data: bytes, search: _Search) -> bytes:
    data = search.whole.sub(_MARK, data)
    if not search.masked:
        return data
    parts: list[bytes] = []
    done = 0
    for mask in _MASK.finditer(data):
        head = _head_before(data, search.masked, mask.start(), done)
        tail = _tail_after(data, search.masked, mask.end())
        if _reveals_key(head, tail, search.public):
            parts += (data[done : mask.start() - head], _MARK)
            done = mask.end() + tail
    return b"".join((*parts, data[done:])) if parts else data


def _reveals_key(head: int, tail: int, public: int) -> bool:
    """Return whether a masked spelling with this many leading and trailing characters reveals part of a key.

    Of the leading ones, the first `public` are not secret.
    """
    return head > public or (head > 0 and tail >= _FEWEST_AFTER_PREFIX) or tail >= _FEWEST_TRAILING


def _head_before(data: bytes, key: bytes, end: int, start: int) -> int:
    """Return how many leading characters of the key are right before `end`, and not before `start`."""
    first = key[:_FEWEST_LEADING]
    at = data.find(first, max(start, end - len(key) + 1), end)
    while at >= 0 and not key.startswith(data[at:end]):
        at = data.find(first, at + 1, end)
    return end - at if at >= 0 else 0


def _tail_after(data: bytes, key: bytes, start: int) -> int:
    """Return how many trailing characters of the key are right after `start`; fewer than two count as none."""
    last = key[-_FEWEST_AFTER_PREFIX:]
    window = data[start : start + len(key) - 1]
    at = window.rfind(last)
    while at >= 0 and not key.endswith(window[: at + len(last)]):
        at = window.rfind(last, 0, at + len(last) - 1)
    return at + len(last) if at >= 0 else 0
