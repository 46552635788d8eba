"""The structure of a request, without its text: types and lengths.

Documented parameter names, values from a closed set of words, and numbers that tune a request are kept. Everything
else that a person or a program wrote is replaced by its length.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

Shape = None | bool | int | float | str | list["Shape"] | dict[str, "Shape"]

#: How many items of a list are shown.
_MOST_ITEMS: Final = 20
_DEEPEST: Final = 12
#: A longer body is not parsed.
_MOST_BYTES: Final = 1 << 20

#: Top-level parameters whose number says how the request was meant.
_NUMBERS: Final = frozenset(
    [
        "best_of",
        "dimensions",
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "min_p",
        "min_tokens",
        "n",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
    ]
)
_SWITCHES: Final = frozenset(
    [
        "add_generation_prompt",
        "background",
        "echo",
        "ignore_eos",
        "logprobs",
        "parallel_tool_calls",
        "store",
        "stream",
        "strict",
        "include_usage",
        "skip_special_tokens",
    ]
)
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "role": frozenset({"system", "developer", "user", "assistant", "tool", "function"}),
    "type": frozenset(
        [
            "text",
            "image_url",
            "input_text",
            "input_image",
            "input_audio",
            "input_file",
            "output_text",
            "file",
            "function",
            "message",
            "refusal",
            "json_schema",
            "json_object",
            "tool_use",
            "tool_result",
            "object",
            "array",
            "string",
            "number",
            "integer",
            "boolean",
            "null",
        ]
    ),
    "tool_choice": frozenset({"auto", "none", "required"}),
    "reasoning_effort": frozenset({"none", "minimal", "low", "medium", "high"}),
    "effort": frozenset({"none", "minimal", "low", "medium", "high"}),
    "verbosity": frozenset({"low", "medium", "high"}),
    "detail": frozenset({"auto", "low", "high"}),
    "encoding_format": frozenset({"float", "base64"}),
    "service_tier": frozenset({"auto", "default", "flex", "priority"}),
    "truncation": frozenset({"auto", "disabled"}),
}
_NAMES: Final = (
    _NUMBERS
    | _SWITCHES
    | frozenset(_WORDS)
    | frozenset(
        [
            "additionalProperties",
            "anyOf",
            "arguments",
            "audio",
            "content",
            "data",
            "description",
            "enum",
            "file",
            "file_data",
            "file_id",
            "filename",
            "format",
            "function",
            "function_call",
            "functions",
            "guided_json",
            "id",
            "image_url",
            "input",
            "input_audio",
            "instructions",
            "items",
            "json_schema",
            "logit_bias",
            "messages",
            "metadata",
            "modalities",
            "model",
            "name",
            "parameters",
            "prediction",
            "prompt",
            "properties",
            "reasoning",
            "refusal",
            "required",
            "response_format",
            "schema",
            "stop",
            "stream_options",
            "suffix",
            "system",
            "text",
            "tool_call_id",
            "tool_calls",
            "tools",
            "url",
            "user",
            "voice",
        ]
    )
)
#: The members of these are named by the author of the request.
_FREE: Final = frozenset({"properties", "metadata", "logit_bias"})


#: Words that the API itself defines; they reveal nothing about a request.
PUBLIC_WORDS: Final = _NAMES.union(*_WORDS.values())


def shape_of(body: bytes) -> Shape:
    """Return the body's structure; a string that says so if it is not JSON or too long to parse."""
    if len(body) > _MOST_BYTES:
        return f"{len(body)} bytes, not parsed"
    try:
        return _shape(msgspec.json.decode(body), name="", depth=0)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"{len(body)} bytes, not JSON"


def _shape(value: object, *, name: str, depth: int) -> Shape:
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return _members(value, of=name, depth=depth)
    if isinstance(value, list):
        shown = [_shape(item, name=name, depth=depth + 1) for item in value[:_MOST_ITEMS]]
        return [*shown, f"… {len(value) - _MOST_ITEMS} more"] if len(value) > _MOST_ITEMS else shown
    return _leaf(value, name=name, top=depth == 1)


def _members(value: Mapping[str, object], *, of: str, depth: int) -> dict[str, Shape]:
    """Return members with undocumented names numbered, together with their length."""
    shown: dict[str, Shape] = {}
    for number, (key, member) in enumerate(value.items(), 1):
        is_known = key in _NAMES and of not in _FREE
        shown[key if is_known else f"member {number} ({len(key)} characters)"] = _shape(
            member, name=key if is_known else "", depth=depth + 1
        )
    return shown


def _leaf(value: object, *, name: str, top: bool) -> Shape:
    if value is None:
        return None
    if isinstance(value, bool):
        return value if name in _SWITCHES else "boolean"
    if isinstance(value, int | float):
        return value if top and name in _NUMBERS else "number"
    if isinstance(value, str):
        return value if value in _WORDS.get(name, ()) else f"string of {len(value)} characters"
    return type(value).__name__
