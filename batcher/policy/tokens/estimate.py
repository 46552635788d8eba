"""Estimates a request's tokens, for the rate gate and for `check`. See docs/providers.md#counting-tokens.

For OpenAI's models with the `tokens` extra it is exact for plain-text chats and close with tools, schemas and
other inputs. Otherwise it is the UTF-8 bytes of the text divided by 3.5: right for English, code and JSON, too
high for Russian and Chinese. It decides when a request is sent, never whether.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from batcher.policy.api_paths import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES
from batcher.policy.stated_maximum import MAXIMA
from batcher.policy.tokens.media import MEDIA_TOKENS, base64_tokens, image_tokens, is_base64
from batcher.policy.tokens.tokenizer import exact_tokens

#: Assumed output tokens of each answer if the request names no maximum.
DEFAULT_OUTPUT_TOKENS: Final = 512
_CHAT_TOKENS: Final = 3
_MESSAGE_TOKENS: Final = 3
#: Larger estimates say nothing more, and this one fits the integer of every database.
_MOST: Final = 2**31 - 1

_MAXIMUM_FIELDS: Final = tuple(f'"{name}"'.encode() for name in MAXIMA)
#: Their common beginning.
_MAXIMUM_PREFIX: Final = b'"max_'
#: Fields whose JSON text the provider adds to the prompt.
_SCHEMAS: Final = ("tools", "functions", "response_format", "text")
_MEDIA: Final = ("image", "audio", "video", "file", "document", "screenshot")
#: A smaller body holds no base64 worth a look.
_LEAST_WITH_MEDIA: Final = 512
#: Fields of a message or an item that the provider reads as text or as a list of parts.
_SPOKEN: Final = frozenset({"content", "role", "name", "refusal", "reasoning_content", "arguments", "output"})
_COUNTED: Final = ("/completions", "/embeddings", "/responses", "/messages", ":generateContent")
_CALLS: Final = ("tool_calls", "function_call")

_Body = Mapping[str, object]
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class TokenEstimate(Struct, frozen=True, kw_only=True):
    """What a request will take, in tokens. `output_tokens` is its maximum, with every answer at full length."""

    input_tokens: int
    output_tokens: int


def names_maximum(body: bytes, est_output: int) -> bool:
    """Return whether a body names its maximum output. The body is searched only if the estimate may be our guess.

    Within a JSON string a quote follows a backslash, so a prompt never looks like the field.
    """
    if est_output == 0 or est_output % DEFAULT_OUTPUT_TOKENS:
        return True
    # Most bodies without one are known by a single search.
    return _MAXIMUM_PREFIX in body and any(name in body for name in _MAXIMUM_FIELDS)


def maximum_field(body: bytes) -> str | None:
    """Return the name under which a body states its maximum output; None if it states none."""
    document = _decode(body)
    return next((name for name in MAXIMA if isinstance(document, dict) and document.get(name) is not None), None)


@lru_cache(maxsize=256)
def counts_tokens(path: str) -> bool:
    """Return whether replies to a path usually count tokens. An OCR's, a reranker's or an image's do not."""
    return path.endswith(_COUNTED)


def text_chat_tokens(spoken: list[str], *, messages: int, model: str) -> int:
    """Return the input tokens of a plain-text chat: what its messages say, roles included, without names."""
    return min(_MOST, _CHAT_TOKENS + _MESSAGE_TOKENS * messages + _of_texts(spoken, model))


def output_tokens(maximum: int, *, answers: int) -> int:
    """Return the output tokens of answers at full length; `maximum` 0: the request names none."""
    return min(_MOST, (maximum or DEFAULT_OUTPUT_TOKENS) * answers)


class _Size(Struct, kw_only=True):
    """What has been counted so far: texts, which the provider reads one by one, and what is no text."""

    texts: list[str] = []
    tokens: int = 0
    model: object = None

    def total(self) -> int:
        return min(_MOST, self.tokens + _of_texts(self.texts, self.model))


def _of_texts(texts: list[str], model: object) -> int:
    exact = exact_tokens(texts, model) if isinstance(model, str) else None
    return _by_bytes(_bytes_of("".join(texts))) if exact is None else exact


def _by_bytes(size: int) -> int:
    return (size * 2 + 6) // 7


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def estimate(path: str, body: object, size: int) -> TokenEstimate:
    """Estimate a decoded body. `size` is its JSON in bytes, used for endpoints whose fields are unknown."""
    if not isinstance(body, dict):
        return TokenEstimate(input_tokens=min(_MOST, _by_bytes(size)), output_tokens=0)
    seen = _Size(model=body.get("model"))
    count = _COUNTS.get(path) or (_count_chat if isinstance(body.get("messages"), list) else None)
    if count is None:
        if size >= _LEAST_WITH_MEDIA:
            document = _without_media(body, seen)
            size = size if seen.tokens == 0 else len(_encode(document))
        seen.tokens += _by_bytes(size)
    else:
        count(body, seen)
    return TokenEstimate(input_tokens=seen.total(), output_tokens=_output(path, body))


def _output(path: str, body: _Body) -> int:
    if path in (EMBEDDINGS, MODERATIONS):
        return 0
    maxima = [value for name in MAXIMA if type(value := body.get(name)) is int and value > 0]
    return output_tokens(max(maxima, default=0), answers=_answers(path, body))


def _answers(path: str, body: _Body) -> int:
    """Return how many answers are produced: `n`, or `best_of` if more are drawn than returned, for each prompt."""
    drawn = [value for name in ("n", "best_of") if type(value := body.get(name)) is int and value > 0]
    prompt = body.get("prompt") if path == COMPLETIONS else None
    prompts = len(prompt) if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int) else 1
    return (max(drawn) if drawn else 1) * prompts


def _count_chat(body: _Body, seen: _Size) -> None:
    seen.tokens += _CHAT_TOKENS
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        _count_message(message, seen)
    _count_content(body.get("system"), seen)
    _count_schemas(body, seen)


def _count_responses(body: _Body, seen: _Size) -> None:
    seen.tokens += _CHAT_TOKENS
    given = body.get("input")
    if isinstance(given, list):
        for item in given:
            _count_message(item, seen)
    else:
        _count_content(given, seen)
    _count_content(body.get("instructions"), seen)
    _count_schemas(body, seen)


def _count_input(body: _Body, seen: _Size) -> None:
    _count_texts(body.get("input"), seen)


def _count_prompt(body: _Body, seen: _Size) -> None:
    _count_texts(body.get("prompt"), seen)
    _count_content(body.get("suffix"), seen)


def _count_texts(value: object, seen: _Size) -> None:
    """Count a text, token ids, or a list of either; an object (a moderation's image) is a part."""
    for item in value if isinstance(value, list) else (value,):
        if isinstance(item, int):
            seen.tokens += 1
        elif isinstance(item, list):
            seen.tokens += len(item)
        elif isinstance(item, str) and is_base64(item):
            seen.tokens += base64_tokens(item, seen.model)
        else:
            _count_part(item, seen)


def _count_message(message: object, seen: _Size) -> None:
    """Count a chat message or an item of a Responses input."""
    if not isinstance(message, dict):
        _count_part(message, seen)
        return
    seen.tokens += _MESSAGE_TOKENS + ("name" in message)
    for key, value in message.items():
        if key in _SPOKEN:
            _count_content(value, seen)
        elif key in _CALLS and value is not None:
            seen.texts.append(_encode(value).decode())


def _count_content(value: object, seen: _Size) -> None:
    if isinstance(value, str):
        seen.texts.append(value)
    elif isinstance(value, list):
        for part in value:
            _count_part(part, seen)
    elif isinstance(value, dict):
        _count_part(value, seen)


def _count_part(part: object, seen: _Size) -> None:
    if not isinstance(part, dict):
        _count_content(part, seen)
        return
    text, kind = part.get("text"), part.get("type")
    shown = kind if isinstance(kind, str) else " ".join(part)
    if isinstance(text, str):
        _count_content(text, seen)
    elif any(word in shown for word in _MEDIA):
        seen.tokens += _media_tokens(part, shown, seen.model)
    elif "content" in part:
        _count_content(part["content"], seen)
    else:
        seen.texts.append(_encode(_without_media(part, seen)).decode())


def _media_tokens(part: _Body, kind: str, model: object) -> int:
    """Return the tokens of an image, by the model's rule, or of a sound or a file."""
    if "image" not in kind and "screenshot" not in kind:
        return MEDIA_TOKENS
    given = part.get("image_url", part.get("image", part.get("source")))
    within: _Body = given if isinstance(given, dict) else {}
    image = within.get("url", within.get("data", given))
    low = within.get("detail", part.get("detail")) == "low"
    return image_tokens(image if isinstance(image, str) else "", model, low=low)


def _without_media(value: object, seen: _Size) -> object:
    """Count the base64 texts in a value of any form; return the value without them."""
    if isinstance(value, str):
        if not is_base64(value):
            return value
        seen.tokens += base64_tokens(value, seen.model)
        return ""
    if isinstance(value, dict):
        return {key: _without_media(each, seen) for key, each in value.items()}
    return [_without_media(each, seen) for each in value] if isinstance(value, list) else value


def _count_schemas(body: _Body, seen: _Size) -> None:
    for name in _SCHEMAS:
        value = body.get(name)
        if value is not None:
            seen.texts.append(_encode(value).decode())


_COUNTS: Final[Mapping[str, Callable[[_Body, _Size], None]]] = {
    CHAT: _count_chat,
    COMPLETIONS: _count_prompt,
    EMBEDDINGS: _count_input,
    RESPONSES: _count_responses,
    MODERATIONS: _count_input,
}
