"""Builds the answers of the simulated provider: realistic, and identical for identical bodies.

Ids are derived from the body's digest and `created` is a constant, so a rerun gives the same bytes.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec
from msgspec import Struct

from batcher.simulate import content
from batcher.simulate.bodies import (
    Body,
    ChatBody,
    CompletionBody,
    EmbeddingBody,
    JsonObject,
    ModerationBody,
    ResponseBody,
    count_tokens,
    max_output,
    prompt_tokens,
    texts_of,
)
from batcher.simulate.content import text_of_length
from batcher.simulate.draws import digest, number, share
from batcher.simulate.instances import instance_of

#: 1 January 2026, UTC.
CREATED = 1_767_225_600
#: Listed if the settings name no models.
DEFAULT_MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "text-embedding-3-small", "omni-moderation-latest")

_CATEGORIES = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")


class Style(Struct, frozen=True, kw_only=True):
    """The length of answers and how their tokens are counted."""

    output_tokens: int = 24
    chars_per_token: float = 4.0


class Answer(Struct, frozen=True, kw_only=True):
    """A body to send with status 200, and the output tokens that its `usage` reports."""

    body: JsonObject
    output_tokens: int


class _Text(Struct, frozen=True, kw_only=True):
    text: str
    tokens: int
    cut: bool


def answer(body: Body, key: bytes, style: Style) -> Answer:
    """Return the answer to a validated body; `key` is the digest of its bytes."""
    match body:
        case ChatBody():
            return _chat(body, key, style)
        case CompletionBody():
            return _completion(body, key, style)
        case ResponseBody():
            return _response(body, key, style)
        case EmbeddingBody():
            return _embeddings(body, style)
        case ModerationBody():
            return _moderations(body, key)
        case _:
            assert_never(body)


def model_card(model: str) -> JsonObject:
    """Return one entry of `GET /v1/models`."""
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "simulated"}


def model_list(models: Sequence[str]) -> JsonObject:
    """Return the body of `GET /v1/models`."""
    return {"object": "list", "data": [model_card(model) for model in models]}


def _chat(body: ChatBody, key: bytes, style: Style) -> Answer:
    schema = _schema(body.response_format, nested="json_schema")
    texts = [_text(key, index, schema, max_output(body), style) for index in range(body.n or 1)]
    produced = sum(text.tokens for text in texts)
    choices: list[JsonObject] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text.text, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "length" if text.cut else "stop",
        }
        for index, text in enumerate(texts)
    ]
    reply = _envelope("chatcmpl", "chat.completion", body.model, key)
    reply |= {"choices": choices, "usage": _usage(prompt_tokens(body, style.chars_per_token), produced)}
    return Answer(body=reply | {"system_fingerprint": "fp_simulated"}, output_tokens=produced)


def _completion(body: CompletionBody, key: bytes, style: Style) -> Answer:
    count = len(texts_of(body.prompt)) * (body.n or 1)
    texts = [_text(key, index, None, max_output(body), style) for index in range(count)]
    produced = sum(text.tokens for text in texts)
    choices = [
        {"index": index, "text": text.text, "logprobs": None, "finish_reason": "length" if text.cut else "stop"}
        for index, text in enumerate(texts)
    ]
    reply = _envelope("cmpl", "text_completion", body.model, key)
    reply |= {"choices": choices, "usage": _usage(prompt_tokens(body, style.chars_per_token), produced)}
    return Answer(body=reply, output_tokens=produced)


def _response(body: ResponseBody, key: bytes, style: Style) -> Answer:
    layout = (body.text or {}).get("format") or {"type": "text"}
    text = _text(key, 0, _schema(layout, nested=None), max_output(body), style)
    status = "incomplete" if text.cut else "completed"
    message = {
        "type": "message",
        "id": f"msg_{key.hex()}",
        "status": status,
        "role": "assistant",
        "content": [{"type": "output_text", "text": text.text, "annotations": [], "logprobs": []}],
    }
    prompt = prompt_tokens(body, style.chars_per_token)
    reply = {
        "id": f"resp_{key.hex()}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if text.cut else None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "model": body.model,
        "output": [message],
        "parallel_tool_calls": True,
        "temperature": body.temperature,
        "text": {"format": layout},
        "usage": {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": text.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + text.tokens,
        },
        "metadata": body.metadata or {},
    }
    return Answer(body=reply, output_tokens=text.tokens)


def _embeddings(body: EmbeddingBody, style: Style) -> Answer:
    size = content.size_of(body.model, body.dimensions)
    packed = body.encoding_format == "base64"
    found = [content.vector(_bytes(text), size) for text in texts_of(body.input)]
    data = [
        {"object": "embedding", "index": index, "embedding": content.as_base64(vector) if packed else vector}
        for index, vector in enumerate(found)
    ]
    prompt = prompt_tokens(body, style.chars_per_token)
    usage = {"prompt_tokens": prompt, "total_tokens": prompt}
    reply = {"object": "list", "data": data, "model": body.model, "usage": usage}
    return Answer(body=reply, output_tokens=0)


def _moderations(body: ModerationBody, key: bytes) -> Answer:
    results = [
        {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": {name: round(share(_bytes(text), name) / 100, 6) for name in _CATEGORIES},
        }
        for text in texts_of(body.input)
    ]
    reply = {"id": f"modr-{key.hex()}", "model": body.model, "results": results}
    return Answer(body=reply, output_tokens=0)


def _text(key: bytes, index: int, schema: JsonObject | None, most: int | None, style: Style) -> _Text:
    """Return the text of one choice, cut at `most` tokens: sentences, or JSON if a schema is requested."""
    seed = digest(key, b"%d" % index)
    if schema is None:
        wanted = style.output_tokens * (0.5 + share(seed, "length"))
        text = text_of_length(number(seed, "start"), int(wanted * style.chars_per_token))
    else:
        text = msgspec.json.encode(instance_of(schema, seed)).decode()
    tokens = count_tokens(text, style.chars_per_token)
    if most is None or tokens <= most:
        return _Text(text=text, tokens=tokens, cut=False)
    return _Text(text=text[: int(most * style.chars_per_token)], tokens=most, cut=True)


def _schema(layout: JsonObject | None, *, nested: str | None) -> JsonObject | None:
    """Return the schema that the answer must match; None: plain text.

    Chat completions nest it in `json_schema`, responses do not.
    """
    match (layout or {}).get("type"):
        case "json_object":
            return {"type": "object", "properties": {"answer": {"type": "string"}}}
        case "json_schema":
            holder: Any = layout if nested is None else (layout or {}).get(nested)
            return dict((holder or {}).get("schema") or {})
        case _:
            return None


def _envelope(prefix: str, kind: str, model: str, key: bytes) -> JsonObject:
    return {"id": f"{prefix}-{key.hex()}", "object": kind, "created": CREATED, "model": model}


def _usage(prompt: int, produced: int) -> JsonObject:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": produced,
        "total_tokens": prompt + produced,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _bytes(text: object) -> bytes:
    return text.encode() if isinstance(text, str) else msgspec.json.encode(text)
