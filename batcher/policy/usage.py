"""Token counts of a reply, in the form of whichever provider wrote it (docs/providers.md#usage-objects).

They get one meaning: input counts every prompt token, cached input and cache writes are parts of it; output counts
every generated token, reasoning is a part of it. On the path of every reply.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from batcher.domain.outcomes import Usage

Document = Mapping[str, object]

_MOST_TOKENS: Final = 2**53
_MOST_DIGITS: Final = 16
_LONGEST_TIER: Final = 40
_USD_PER_TICK: Final = 1e-10

_Count = Annotated[int, Meta(ge=0, lt=_MOST_TOKENS)]


class _InputParts(Struct, gc=False):
    """The object `prompt_tokens_details` or `input_tokens_details`."""

    cached_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None


class _OutputParts(Struct, gc=False):
    """The object `completion_tokens_details` or `output_tokens_details`."""

    reasoning_tokens: _Count | None = None
    thinking_tokens: _Count | None = None


class _Units(Struct, gc=False):
    """Cohere's objects `tokens` and `billed_units`."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None


class _Completion(Struct):
    """The object `usage` of a chat or a completion, with the names that all providers use."""

    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: _InputParts | None = None
    completion_tokens_details: _OutputParts | None = None
    # Beside the counts: DeepSeek; Moonshot; gateways to Anthropic; Databricks.
    prompt_cache_hit_tokens: _Count | None = None
    cached_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    # What it cost: OpenRouter and Perplexity; xAI; DeepInfra.
    cost: Any = None
    cost_in_usd_ticks: Any = None
    estimated_cost: Any = None


class _Other(Struct):
    """The object `usage` of other forms."""

    # Responses, Anthropic.
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    input_tokens_details: _InputParts | None = None
    output_tokens_details: _OutputParts | None = None
    prompt_tokens_details: _InputParts | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    # Cohere.
    tokens: _Units | None = None
    billed_units: _Units | None = None
    cached_tokens: _Count | None = None
    # Bedrock: its Converse API, and its models' own.
    sent: _Count | None = field(default=None, name="inputTokens")
    made: _Count | None = field(default=None, name="outputTokens")
    read: _Count | None = field(default=None, name="cacheReadInputTokens")
    read_count: _Count | None = field(default=None, name="cacheReadInputTokenCount")
    written: _Count | None = field(default=None, name="cacheWriteInputTokens")
    written_count: _Count | None = field(default=None, name="cacheWriteInputTokenCount")
    # Embeddings and rerankers.
    total_tokens: _Count | None = None


_OBJECTS: Final = frozenset(
    {
        *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
        *("tokens", "billed_units"),
    }
)
_NO_USAGE: Final = Usage()
_NO_INPUT_PARTS: Final = _InputParts()
_NO_OUTPUT_PARTS: Final = _OutputParts()
_NOTHING: Final[Document] = {}


def usage_of(document: Document) -> Usage:
    """Return what the provider counted and billed; all None if it does not say."""
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return _without_usage(document)
    try:
        counts = msgspec.convert(usage, _Completion)
    except msgspec.ValidationError:
        counts = msgspec.convert(_corrected(usage), _Completion)
    if counts.prompt_tokens is None and counts.completion_tokens is None:
        return _of_other_form(_other(usage), usage, document)
    return _of_completion(counts, usage, document)


def _other(usage: Document) -> _Other:
    try:
        return msgspec.convert(usage, _Other)
    except msgspec.ValidationError:
        return msgspec.convert(_corrected(usage), _Other)


class _SentTier(Struct):
    service_tier: Any = None
    serviceTier: Any = None  # noqa: N815 - the provider's own spelling


_decode_tier: Final = msgspec.json.Decoder(_SentTier).decode
#: The ends of paths of Bedrock and Gemini, whose names are in camel case.
_CAMEL_CASE: Final = ("/converse", ":generateContent")


def sent_tier(body: bytes, path: str) -> str | None:
    """Return the service tier that a request's body asks for; None if it names none."""
    name = b'"serviceTier"' if path.endswith(_CAMEL_CASE) else b'"service_tier"'
    # Most bodies name none and are not parsed. Not `in`, which first tries to take the name for a number.
    if body.find(name) < 0:
        return None
    try:
        asked = _decode_tier(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return _tier(asked.service_tier) or _tier(asked.serviceTier)


def _of_completion(counts: _Completion, usage: Document, document: Document) -> Usage:
    """Read OpenAI's chat form, which most providers and servers use."""
    sent, made, total = counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
    of_input, of_output = counts.prompt_tokens_details, counts.completion_tokens_details
    cached = written = None
    if of_input is not None:
        cached, written = of_input.cached_tokens, of_input.cache_write_tokens
        if written is None:
            written = of_input.cache_creation_input_tokens
    if cached is None:
        cached = counts.cached_tokens if counts.cached_tokens is not None else counts.prompt_cache_hit_tokens
        if cached is None:
            cached = counts.cache_read_input_tokens
    if written is None:
        written = counts.cache_creation_input_tokens
    reasoning = counts.reasoning_tokens if of_output is None else of_output.reasoning_tokens
    if total is not None and sent is not None and made is not None and total > sent + made and not written:
        made, reasoning = _with_hidden_reasoning(total - sent, made, reasoning)
    tier = document.get("service_tier") or usage.get("service_tier")
    is_priced = (
        counts.cost is not None or counts.cost_in_usd_ticks is not None or counts.estimated_cost is not None
    )
    return Usage(
        input_tokens=sent,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=made,
        reasoning_tokens=reasoning,
        tier_billed=None if tier is None else _tier(tier),
        cost_usd=_cost(usage) if is_priced else None,
    )


def _with_hidden_reasoning(most: int, made: int, reasoning: int | None) -> tuple[int, int | None]:
    """Return output and reasoning if the total counts reasoning and the output does not: xAI, Gemini."""
    if reasoning is None:
        return most, most - made
    return (made + reasoning, reasoning) if made + reasoning <= most else (made, reasoning)


def _of_other_form(counts: _Other, usage: Document, document: Document) -> Usage:
    """Read the forms without `prompt_tokens`. A total alone is input if nothing was generated."""
    if counts.input_tokens is not None or counts.output_tokens is not None:
        return _of_input_and_output(counts, usage, document)
    if counts.tokens is not None or counts.billed_units is not None:
        return _of_cohere(counts)
    if counts.sent is None and counts.made is None:
        return Usage(input_tokens=None if "choices" in document else counts.total_tokens, cost_usd=_cost(usage))
    read, written = _first(counts.read, counts.read_count), _first(counts.written, counts.written_count)
    return Usage(
        input_tokens=_sum(counts.sent, read, written),
        cached_input_tokens=read,
        cache_write_tokens=written,
        output_tokens=counts.made,
        tier_billed=_tier(document.get("serviceTier")),
    )


def _of_input_and_output(counts: _Other, usage: Document, document: Document) -> Usage:
    """Read the forms of Responses, whose parts are in details, and of Anthropic, which counts them apart."""
    sent, read, written = counts.input_tokens, counts.cache_read_input_tokens, counts.cache_creation_input_tokens
    if read is None and written is None:
        parts = counts.input_tokens_details or counts.prompt_tokens_details or _NO_INPUT_PARTS
        read = _first(parts.cached_tokens, parts.cache_read_input_tokens)
        written = _first(parts.cache_write_tokens, parts.cache_creation_input_tokens)
    else:
        sent = _sum(sent, read, written)
    of_output = counts.output_tokens_details or _NO_OUTPUT_PARTS
    return Usage(
        input_tokens=sent,
        cached_input_tokens=read,
        cache_write_tokens=written,
        output_tokens=counts.output_tokens,
        reasoning_tokens=_first(of_output.reasoning_tokens, of_output.thinking_tokens),
        tier_billed=_tier(usage.get("service_tier") or document.get("service_tier")),
        cost_usd=_cost(usage),
    )


def _of_cohere(counts: _Other) -> Usage:
    """Read what is billed, which leaves out what Cohere adds to a prompt; else what was processed."""
    billed, processed = counts.billed_units or _Units(), counts.tokens or _Units()
    units = processed if billed.input_tokens is None else billed
    return Usage(
        input_tokens=units.input_tokens,
        cached_input_tokens=counts.cached_tokens,
        output_tokens=units.output_tokens,
    )


#: Where APIs without an object `usage` put input and output: beside the answer, or in an object.
_ELSEWHERE: Final = (
    ("", "prompt_eval_count", "eval_count"),
    ("", "tokens_evaluated", "tokens_predicted"),
    ("", "prompt_token_count", "generation_token_count"),
    ("", "inputTextTokenCount", ""),
    ("inference_status", "tokens_input", "tokens_generated"),
    ("details", "", "generated_tokens"),
)


def _without_usage(document: Document) -> Usage:
    """Read the counts of APIs without an object `usage`."""
    metadata, meta = document.get("usageMetadata"), document.get("meta")
    if isinstance(metadata, dict):
        return _of_gemini(metadata)
    if isinstance(meta, dict):
        return _of_cohere(_other(meta))
    result = document.get("result")
    if isinstance(result, dict) and "usage" in result:
        return usage_of(result)
    for place, sent, made in _ELSEWHERE:
        counts = _part(document, place) if place else document
        if sent in counts or made in counts:
            return Usage(
                input_tokens=_count(counts.get(sent)),
                output_tokens=_count(counts.get(made)),
                cost_usd=_dollars(counts.get("cost")),
            )
    return _NO_USAGE


def _of_gemini(metadata: Document) -> Usage:
    """Read Gemini's own form, which counts thoughts and the results of its tools apart."""
    prompt, tools = _count(metadata.get("promptTokenCount")), _count(metadata.get("toolUsePromptTokenCount"))
    thoughts = _count(metadata.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=_sum(prompt, tools),
        cached_input_tokens=_count(metadata.get("cachedContentTokenCount")),
        output_tokens=_sum(_count(metadata.get("candidatesTokenCount")), thoughts),
        reasoning_tokens=thoughts,
        tier_billed=_tier(metadata.get("serviceTier") or metadata.get("trafficType")),
    )


def _cost(usage: Document) -> float | None:
    """Return what the provider says that the request cost, in US dollars."""
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _dollars(cost.get("total_cost"))
    if cost is not None:
        fee = _dollars(cost)
        # OpenRouter with a key of one's own: the provider behind it bills separately.
        behind = (
            _part(usage, "cost_details").get("upstream_inference_cost") if usage.get("is_byok") is True else None
        )
        return fee if fee is None else fee + (_dollars(behind) or 0.0)
    ticks = _dollars(usage.get("cost_in_usd_ticks"))
    return _dollars(usage.get("estimated_cost")) if ticks is None else ticks * _USD_PER_TICK


def _dollars(value: object) -> float | None:
    is_amount = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
    return float(value) if is_amount else None  # type: ignore[arg-type]


def _tier(value: object) -> str | None:
    """Return a tier as the provider spells it: a short text, or Bedrock's object."""
    if isinstance(value, dict):
        value = value.get("type")
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TIER else None


def _part(document: Document, name: str) -> Document:
    value = document.get(name)
    return value if isinstance(value, dict) else _NOTHING


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _corrected(counts: Document) -> dict[str, Any]:
    """Return a usage whose counts are counts or missing: gateways send 31.0, "31", and for images 14417.92."""
    corrected: dict[str, Any] = {}
    for name, value in counts.items():
        if name not in _OBJECTS:
            corrected[name] = _count(value) if "oken" in name else value
        elif isinstance(value, dict):
            corrected[name] = _corrected(value)
    return corrected


def _count(value: object) -> int | None:
    if type(value) is not int:
        value = _odd_count(value)
    return value if value is not None and 0 <= value < _MOST_TOKENS else None


def _odd_count(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _MOST_DIGITS:
        return int(value)
    return math.ceil(value) if isinstance(value, float) and abs(value) < _MOST_TOKENS else None
