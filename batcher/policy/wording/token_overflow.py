"""Reads from a provider's message that a prompt exceeds the model's window, and by how many tokens.

One list for both: a sentence with figures, or one of the phrases without. No figure is better than a wrong one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from batcher.policy.wording.identifiers import as_words
from batcher.policy.wording.phrase import Phrase

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


def _phrase(pattern: str) -> Phrase:
    """Make a pattern in which `#` is a count. It is matched against words, so `max_tokens` is two of them."""
    return Phrase(pattern.replace("#", _N), over_lines=True)


#: Between a prompt's tokens and the limit.
_IS_OVER: Final = r"(?:exceeds?|exceeded|is (?:longer|larger|greater) than|cannot exceed|but|while)"


#: The limit first, then the request's tokens.
_LIMIT_FIRST: Final = (
    # OpenAI, Azure, OpenRouter, vLLM: "… However, your messages resulted in M tokens", "you requested M tokens".
    _phrase(r"maximum context length (?:is|of) # tokens\b.{0,80}?\b(?:resulted in|requested|requested about) # "),
    # vLLM: "… and your request has P input tokens"; "However, your request has P input tokens".
    _phrase(r"maximum context length is # tokens\b.{0,40}?your request has # input tokens(?! *\()"),
    # OpenAI: "Input tokens exceed the configured limit of N tokens. Your messages resulted in M tokens".
    _phrase(r"configured limit of # tokens\b.{0,40}?resulted in # tokens"),
    # OpenAI, a limit per minute: "Limit 30000, Requested 35000". Kimi: "token limit: N (requested: M)".
    _phrase(r"\bLimit:? #.{0,20}?\bRequested:? #"),
    # xAI: "maximum prompt length is N but the request contains M tokens".
    _phrase(
        r"maximum (?:prompt|input|context|model) length (?:is|of) #\b.{0,40}?\b(?:contains|has|is|got) # tokens"
    ),
    # "The model's context window is N tokens, your prompt has M tokens".
    _phrase(
        r"context (?:window|length|size) (?:is|of) # tokens?\b.{0,60}?"
        r"\b(?:request|prompt|messages|input)\b[^.\d]{0,20}# tokens"
    ),
    # Cohere: "total number of tokens in the prompt cannot exceed N - received M".
    _phrase(r"tokens\b[^.\d]{0,40}\b(?:cannot|must not) exceed # ?\W{0,3}received #"),
    # Text Embeddings Inference: "must have less than N tokens. Given: M".
    _phrase(r"must have (?:less|fewer) than # tokens\W{1,3}given:? #"),
    # LiteLLM: "Max Input Tokens=N, Got=M".
    _phrase(r"max input tokens ?[=:] ?#, ?got ?[=:] ?#"),
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
    # SGLang, Together: "The input (M tokens) is longer than the model's context length (N tokens)".
    _phrase(
        r"\b(?:prompt|inputs?|request|messages|context|sequence)\b[^.\d]{0,20}# tokens?\b[^.\d]{0,8}"
        rf"\b{_IS_OVER}\b[^.\d]{{0,60}}#"
    ),
    # "Input length (M) exceeds model's maximum context length (N)"; Copilot: "prompt token count of M exceeds the
    # limit of N"; watsonx: "number of input tokens M cannot exceed the total tokens limit N".
    _phrase(
        r"\b(?:(?:prompt|input|context) length|(?:prompt|input|request|messages|context) tokens?(?: count)?)\b"
        r"[^.\d]{0,8}#"
        rf"(?: tokens?)?[^.\w]{{0,4}}\b{_IS_OVER}\b[^.\d]{{0,60}}#"
    ),
    _phrase(r"\b# tokens > #"),
    # Cerebras: "Current length is M while limit is N".
    _phrase(r"current length is #[^.\d]{0,20}\blimit is #"),
)
#: Two summands, then the limit. Anthropic: "… exceed context limit: P + O > N".
_SUM_FIRST: Final = (_phrase(r"exceed context limit: # \+ # > #"),)
#: The limit, then two summands. Text Generation Inference, Together.
_SUM_LAST: Final = (
    _phrase(r"must be <= #\. Given: # `inputs` tokens and # `max new tokens`"),
    _phrase(r"must be <= #\. Given: # tokens and # `max new tokens`"),
)
_WINDOW: Final = r"context (?:window|length|size|limit)"
_TOO_MUCH: Final = (
    r"(?:exceed(?:s|ed|ing)?|overflow(?:s|ed)?|too (?:long|large)|(?:longer|larger|greater|more) than)"
)
#: A prompt that exceeds the window, whatever the status is.
_CERTAIN: Final = (
    _phrase(rf"\b{_WINDOW}\b.{{0,60}}?\b{_TOO_MUCH}\b|\b{_TOO_MUCH}\b.{{0,80}}?\b{_WINDOW}\b"),
    _phrase(r"\bprompt (?:is |was )?too long\b"),
)
#: The same in a reply that says that the request is at fault.
_LIKELY: Final = (
    _phrase(r"\bmax(?:imum)?(?: allowed)? (?:context|input|prompt|model) (?:length|window|size)\b"),
    _phrase(r"\bcontext length of the model\b|\bcontext (?:the )?overflow"),
    # Bedrock.
    _phrase(r"\b(?:input|conversation|context) (?:is |are )?too long\b"),
    # Zhipu.
    _phrase(r"\bprompt exceed(?:s|ed)? (?:the )?max(?:imum)? length\b"),
    # OpenAI, Groq.
    _phrase(r"\breduce the length of (?:the|your) (?:messages|prompt|input)\b"),
    # Kimi.
    _phrase(r"\bexceed(?:s|ed)? (?:the )?model(?:'s)? token limit\b"),
    _phrase(r"\b(?:input|prompt) tokens?(?: count)?\b.{0,30}\bexceeds?\b"),
    # DashScope.
    _phrase(r"\brange of input length should be\b"),
    # Text Generation Inference.
    _phrase(r"\binputs?\W{1,3}tokens \+ \W?max new tokens\W{1,3}must be\b"),
)
#: A limit of a rate, or of something else than tokens: no figure and no phrase counts.
_OF_A_RATE: Final = _phrase(
    r"\b(?:tokens?|requests?) (?:per|a) (?:sec|min|hour|day)|\bTP[MD]\b|\bRP[MD]\b|\brate limit|\bquota\b"
)
_OF_ANOTHER_UNIT: Final = _phrase(
    r"\b(?:chars?|characters?|bytes|[KM]i?B|pixels|array|items|elements|images?|files?)\b"
)
_OF_TOKENS: Final = _phrase(r"\btokens?\b|\bcontext\b")
#: vLLM: "max_tokens … is too large: O. This model's maximum … is N tokens and your request has P input tokens".
_OUTPUT_TOO_LARGE: Final = _phrase(
    r"is too large: #\. This model's maximum context length is # tokens and your request has # input tokens"
)


def read_overflow(message: str, reply: bytes | None = None) -> Overflow | None:
    """Return the figures of a message, else those of llama.cpp's reply; None if there are none."""
    return next(_in_words(as_words(message)), None) or _in_fields(reply)


def exceeds_window(message: str, *, at_fault: bool) -> bool:
    """Return whether a message says that the prompt, with its maximum output, exceeds the model's window.

    `at_fault`: the status says that the request is at fault. Otherwise only what cannot mean anything else counts.
    """
    text = as_words(message)
    if _OF_A_RATE.search(text) or (_OF_ANOTHER_UNIT.search(text) and not _OF_TOKENS.search(text)):
        return False
    figures = next(_in_words(text), None)
    if figures is not None and figures.tokens > figures.limit:
        return True
    return any(phrase.search(text) for phrase in (*_CERTAIN, *(_LIKELY if at_fault else ())))


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


def _figures(pattern: Phrase, message: str) -> Iterator[tuple[int, ...]]:
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
