"""Exact token counts of text for OpenAI's models, if the `tokens` extra is installed.

See docs/providers.md#counting-tokens.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Final

#: Takes texts and the name of their encoding; returns the tokens of each.
CountTokens = Callable[[Sequence[str], str], Sequence[int]]

#: How fine-tuned models and routers write OpenAI's names.
_PREFIX: Final = r"(?:ft:|openai/)?"
#: gpt-4 but not gpt-4o or gpt-4.1; Azure writes gpt-35.
_CL100K: Final = re.compile(_PREFIX + r"(?:gpt-3\.?5|gpt-4(?![o.\d])|text-embedding-(?:3|ada-002))")
_O200K: Final = re.compile(_PREFIX + r"(?:gpt-(?:4o|4\.\d|[5-9]|oss)|chatgpt-|o[134](?![^-]))")


@lru_cache(maxsize=1024)
def encoding_of(model: str) -> str | None:
    """Return the encoding of one of OpenAI's models (from gpt-6 on it is a guess); None for all others."""
    if _CL100K.match(model):
        return "cl100k_base"
    return "o200k_base" if _O200K.match(model) else None


@cache
def counter() -> CountTokens | None:
    """Return the counting function; None if the extra is not installed.

    Loading takes 0.3 s and 50 MB, so it is lazy.
    """
    try:
        from toktok import batch_count  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    # One thread: the texts of a row are short, and starting others costs more than it saves.
    return lambda texts, encoding: batch_count(texts, encoding, threads=1)


def exact_tokens(texts: Sequence[str], model: str) -> int | None:
    """Return the total tokens of the texts, each counted by itself; None if they cannot be counted here."""
    encoding = encoding_of(model)
    count = None if encoding is None else counter()
    if encoding is None or count is None:
        return None
    try:
        return sum(count(texts, encoding))
    except UnicodeEncodeError:
        return sum(count([text.encode("utf-8", "replace").decode() for text in texts], encoding))
