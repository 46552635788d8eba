"""Reads from a provider's message by how many tokens a request exceeded a limit.

The code has been decided by then; here only figures are read from phrases, and no figure is better than a wrong
one.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

#: A count of tokens, with or without thousands separators; longer numbers are not a count.
_N: Final = r"(\d{1,3}(?:,\d{3}){1,3}|\d{1,12})(?![\d,]*\d)"


class Overflow(Struct, frozen=True, kw_only=True):
    """The tokens of a request, and the most that were allowed."""

    tokens: int
    limit: int


class Figures(Struct, frozen=True, kw_only=True):
    """Several overflows together."""

    longest: int
    least_limit: int
    most_limit: int


def _phrase(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("#", _N), re.IGNORECASE | re.DOTALL)


#: The limit first, then the request's tokens.
_LIMIT_FIRST: Final = (
    # OpenAI, Azure, OpenRouter, vLLM: "… However, your messages resulted in M tokens", "you requested M tokens".
    _phrase(r"maximum context length (?:is|of) # tokens\b.{0,80}?\b(?:resulted in|requested|requested about) # "),
    # vLLM: "… and your request has P input tokens"; "However, your request has P input tokens".
    _phrase(r"maximum context length is # tokens\b.{0,40}?your request has # input tokens(?! *\()"),
    # OpenAI: "Input tokens exceed the configured limit of N tokens. Your messages resulted in M tokens".
    _phrase(r"configured limit of # tokens\b.{0,40}?resulted in # tokens"),
    # OpenAI, a limit per minute: "Limit 30000, Requested 35000".
    _phrase(r"\bLimit:? #.{0,20}?\bRequested:? #"),
)
#: The request's tokens first, then the limit.
_TOKENS_FIRST: Final = (
    # Anthropic: "prompt is too long: M tokens > N maximum".
    _phrase(r"prompt is too long: # tokens > # maximum"),
    # llama.cpp: "request (M tokens) exceeds the available context size (N tokens)".
    _phrase(r"request \(# tokens\) exceeds the available context size \(# tokens\)"),
    # vLLM: "The decoder prompt (length M) is longer than the maximum model length of N".
    _phrase(r"prompt \((?:total )?length #\) is longer than the maximum model length of #"),
    # Gemini: "The input token count (M) exceeds the maximum number of tokens allowed (N)".
    _phrase(r"input token count \(?#\)? exceeds the maximum number of tokens allowed \(?#"),
    # Mistral: "Prompt contains M tokens …, too large for model with N maximum context length".
    _phrase(r"prompt contains # tokens.{0,60}?too large for model with # maximum context length"),
)
#: Two summands, then the limit. Anthropic: "… exceed context limit: P + O > N".
_SUM_FIRST: Final = (_phrase(r"exceed context limit: # \+ # > #"),)
#: The limit, then two summands. Text Generation Inference, Together.
_SUM_LAST: Final = (
    _phrase(r"must be <= #\. Given: # `inputs` tokens and # `max_new_tokens`"),
    _phrase(r"must be <= #\. Given: # tokens and # `max_new_tokens`"),
)
#: vLLM: "max_tokens … is too large: O. This model's maximum … is N tokens and your request has P input tokens".
_OUTPUT_TOO_LARGE: Final = _phrase(
    r"is too large: #\. This model's maximum context length is # tokens and your request has # input tokens"
)


def read_overflow(message: str, reply: bytes | None = None) -> Overflow | None:
    """Return the figures of a message, else those of llama.cpp's reply; None if there are none."""
    return next(_in_words(message), None) or _in_fields(reply)


def together(overflows: Iterable[Overflow]) -> Figures | None:
    """Return the combined figures of several; None if there are none."""
    figures: Figures | None = None
    for each in overflows:
        figures = _wider(figures, each) if figures else _alone(each)
    return figures


def _alone(one: Overflow) -> Figures:
    return Figures(longest=one.tokens, least_limit=one.limit, most_limit=one.limit)


def _wider(figures: Figures, one: Overflow) -> Figures:
    return Figures(
        longest=max(figures.longest, one.tokens),
        least_limit=min(figures.least_limit, one.limit),
        most_limit=max(figures.most_limit, one.limit),
    )


def _in_words(message: str) -> Iterator[Overflow]:
    for pattern in _SUM_LAST:
        for limit, prompt, output in _figures(pattern, message):
            yield Overflow(tokens=prompt + output, limit=limit)
    for output, limit, prompt in _figures(_OUTPUT_TOO_LARGE, message):
        yield Overflow(tokens=prompt + output, limit=limit)
    for pattern in _SUM_FIRST:
        for prompt, output, limit in _figures(pattern, message):
            yield Overflow(tokens=prompt + output, limit=limit)
    for pattern in _LIMIT_FIRST:
        for limit, tokens in _figures(pattern, message):
            yield Overflow(tokens=tokens, limit=limit)
    for pattern in _TOKENS_FIRST:
        for tokens, limit in _figures(pattern, message):
            yield Overflow(tokens=tokens, limit=limit)


def _figures(pattern: re.Pattern[str], message: str) -> Iterator[tuple[int, ...]]:
    found = pattern.search(message)
    if found is not None:
        yield tuple(int(figure.replace(",", "")) for figure in found.groups())


class _Sizes(Struct):
    n_prompt_tokens: int
    n_ctx: int


class _SizesReply(Struct):
    error: _Sizes


_read_sizes: Final = msgspec.json.Decoder(_SizesReply).decode


def _in_fields(reply: bytes | None) -> Overflow | None:
    """Read llama.cpp's `n_prompt_tokens` and `n_ctx`, which it sends beside the message."""
    if reply is None or b"n_prompt_tokens" not in reply:
        return None
    try:
        sizes = _read_sizes(reply).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Overflow(tokens=sizes.n_prompt_tokens, limit=sizes.n_ctx)
