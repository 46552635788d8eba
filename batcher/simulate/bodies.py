"""The request body of each endpoint: typed, validated while it is decoded, and its cost in tokens."""

from math import ceil
from typing import Annotated, Any, Literal, assert_never

import msgspec
from msgspec import Meta, Struct

from batcher.domain.lanes import Charge
from batcher.simulate.problems import Problem, bad_request

JsonObject = dict[str, Any]
Positive = Annotated[int, Meta(ge=1)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Texts = Annotated[str, Meta(min_length=1)] | Annotated[list[Any], Meta(min_length=1)]

#: Output tokens charged for a request that names no maximum: OpenAI's old default
#: (docs/providers.md#rate-limit-headers).
DEFAULT_MAX_OUTPUT = 16
#: Tokens charged for an image, a sound or a file in a message, whatever its size: base64 is not text.
_ATTACHMENT_TOKENS = 85
#: Extra tokens per chat and per message (docs/providers.md#counting-tokens).
_CHAT_OVERHEAD = 3


class ChatBody(Struct, kw_only=True):
    """`POST /v1/chat/completions`: the fields that the simulation uses."""

    model: str
    messages: Annotated[list[JsonObject], Meta(min_length=1)]
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Positive | None = None
    temperature: Temperature | None = None
    response_format: JsonObject | None = None
    stream: bool | None = None
    metadata: JsonObject | None = None


class CompletionBody(Struct, kw_only=True):
    """`POST /v1/completions`."""

    model: str
    prompt: Texts
    max_tokens: Positive | None = None
    n: Positive | None = None
    best_of: Positive | None = None
    temperature: Temperature | None = None
    stream: bool | None = None
    metadata: JsonObject | None = None


class EmbeddingBody(Struct, kw_only=True):
    """`POST /v1/embeddings`."""

    model: str
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Positive | None = None
    metadata: JsonObject | None = None


class ResponseBody(Struct, kw_only=True):
    """`POST /v1/responses`."""

    model: str
    input: Texts
    instructions: str | None = None
    max_output_tokens: Positive | None = None
    temperature: Temperature | None = None
    text: JsonObject | None = None
    stream: bool | None = None
    metadata: JsonObject | None = None


class ModerationBody(Struct, kw_only=True):
    """`POST /v1/moderations`."""

    input: Texts
    model: str = "omni-moderation-latest"
    metadata: JsonObject | None = None


Body = ChatBody | CompletionBody | EmbeddingBody | ResponseBody | ModerationBody

_DECODERS: dict[str, msgspec.json.Decoder[Body]] = {
    "/v1/chat/completions": msgspec.json.Decoder(ChatBody),
    "/v1/completions": msgspec.json.Decoder(CompletionBody),
    "/v1/embeddings": msgspec.json.Decoder(EmbeddingBody),
    "/v1/responses": msgspec.json.Decoder(ResponseBody),
    "/v1/moderations": msgspec.json.Decoder(ModerationBody),
}

#: The paths that accept a POST.
PATHS = frozenset(_DECODERS)


def read_body(path: str, raw: bytes) -> Body | Problem:
    """Decode the body of a POST to one of PATHS; return a 400 that says what is wrong if it is invalid."""
    try:
        body = _DECODERS[path].decode(raw)
    except msgspec.ValidationError as error:
        return _invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_request(f"We could not parse the JSON body of your request. ({error})")
    if not body.model:
        return bad_request("you must provide a model parameter", param="model")
    if getattr(body, "stream", None):
        return bad_request("The simulated provider does not stream.", code="unsupported_value", param="stream")
    return body


def charge_of(body: Body, chars_per_token: float) -> Charge:
    """Return the most that a body may cost: its prompt and all the output that it allows."""
    return Charge(input_tokens=prompt_tokens(body, chars_per_token), output_tokens=_most_output(body))


def prompt_tokens(body: Body, chars_per_token: float) -> int:
    """Estimate the tokens of the prompt from its characters."""
    match body:
        case ChatBody():
            return _CHAT_OVERHEAD + sum(_message_tokens(message, chars_per_token) for message in body.messages)
        case CompletionBody():
            return _tokens(body.prompt, chars_per_token)
        case ResponseBody():
            return (
                _CHAT_OVERHEAD + _tokens(body.input, chars_per_token) + _tokens(body.instructions, chars_per_token)
            )
        case EmbeddingBody() | ModerationBody():
            return _tokens(body.input, chars_per_token)
        case _:
            assert_never(body)


def max_output(body: Body) -> int | None:
    """Return the maximum output of one choice; None if the body names no maximum."""
    match body:
        case ChatBody():
            return body.max_completion_tokens or body.max_tokens
        case CompletionBody():
            return body.max_tokens
        case ResponseBody():
            return body.max_output_tokens
        case EmbeddingBody() | ModerationBody():
            return None
        case _:
            assert_never(body)


def texts_of(value: str | list[Any]) -> list[Any]:
    """Return the prompts, one or several, as a list of texts (or of token lists)."""
    if isinstance(value, str) or all(isinstance(item, int) for item in value):
        return [value]
    return value


def count_tokens(text: str, chars_per_token: float) -> int:
    """Estimate the tokens of a text from its characters, as a provider's limiter does."""
    return ceil(len(text) / chars_per_token)


def _most_output(body: Body) -> int:
    most = max_output(body) or DEFAULT_MAX_OUTPUT
    match body:
        case ChatBody():
            return most * (body.n or 1)
        case CompletionBody():
            return most * max(body.n or 1, body.best_of or 1) * len(texts_of(body.prompt))
        case ResponseBody():
            return most
        case EmbeddingBody() | ModerationBody():
            return 0
        case _:
            assert_never(body)


def _message_tokens(message: JsonObject, chars_per_token: float) -> int:
    return _CHAT_OVERHEAD + sum(_tokens(value, chars_per_token) for value in message.values())


def _tokens(value: object, chars_per_token: float) -> int:
    match value:
        case str():
            return count_tokens(value, chars_per_token)
        case int():
            return 1
        case list():
            return sum(_tokens(item, chars_per_token) for item in value)
        case {"text": str(text)} | {"content": text}:
            return _tokens(text, chars_per_token)
        case {"type": str()}:
            return _ATTACHMENT_TOKENS
        case _:
            return 0


def _invalid(error: str) -> Problem:
    # msgspec writes "Expected `int` >= 1 - at `$.max_tokens`" or "Object missing required field `model`".
    what, _, where = error.partition(" - at `$")
    missing = "missing required field" in what and not where
    if missing and "`model`" in what:
        return bad_request("you must provide a model parameter", param="model")
    if missing:
        param = what.rsplit("`", 2)[1]
        return bad_request(
            f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
        )
    name = where.strip(".`")
    return bad_request(f"Invalid value for '{name or 'body'}': {what}.", code="invalid_value", param=name or None)
