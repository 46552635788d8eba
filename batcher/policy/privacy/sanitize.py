r"""One sanitizer for every string from a model, a provider or a file before it reaches a terminal or a log.

Characters that could move the cursor, write the clipboard, reverse the line or hide become visible escapes such as
`\x1b`.
"""

from unicodedata import category

_ELLIPSIS = "…"
#: Control, format (bidirectional overrides, zero width, tags), surrogates, line and paragraph separators.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Letters and marks that draw nothing: grapheme joiner, Hangul fillers, Khmer inherent vowels, braille blank.
_INVISIBLE = frozenset(map(ord, "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"))
_BREAKS = {ord("\n"): "\n", ord("\t"): "\t"}
_LAST_OF_X, _LAST_OF_U = 0xFF, 0xFFFF


class _Escapes(dict[int, str]):
    """A table for `str.translate` that decides about a code point when it first occurs."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _escape(code) if _is_hidden(code) else chr(code)
        return shown


class _JsonEscapes(dict[int, str]):
    """The same in JSON's spelling: UTF-16 units."""

    def __missing__(self, code: int) -> str:
        self[code] = shown = _escape_json(code) if _is_hidden(code) else chr(code)
        return shown


_ESCAPES = _Escapes()
_JSON_ESCAPES = _JsonEscapes({each: chr(each) for each in b"\n\r\t"})
_KEEPING_BREAKS = _Escapes(_BREAKS)


def sanitize(text: str, *, keep_breaks: bool = False) -> str:
    """Return the text with everything that is not plainly visible escaped; `keep_breaks` keeps newline and tab."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_KEEPING_BREAKS if keep_breaks else _ESCAPES)


def sanitize_json(document: bytes) -> bytes:
    """Return an equivalent JSON document in UTF-8, with what `sanitize` would escape as JSON's own escapes.

    Line feeds stay, because JSON has them only between tokens.
    """
    if document.isascii() and b"\x7f" not in document:
        return document
    return document.decode(errors="replace").translate(_JSON_ESCAPES).encode()


def is_utf8(text: str) -> bool:
    """Return whether the text can be encoded: a name from the system that is not UTF-8 has lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def one_line(text: str, width: int) -> str:
    """Return the text on one line of at most `width` (≥ 1) characters, with white space collapsed to one space.

    The text is sanitized; what is too long ends in an ellipsis.
    """
    line = sanitize(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1] + _ELLIPSIS


def _is_hidden(code: int) -> bool:
    return code in _INVISIBLE or category(chr(code)) in _HIDDEN_CATEGORIES


def _escape(code: int) -> str:
    if code <= _LAST_OF_X:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_OF_U else f"\\U{code:08x}"


def _escape_json(code: int) -> str:
    units = chr(code).encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
