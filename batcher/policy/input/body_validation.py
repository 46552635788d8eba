"""What a provider would certainly refuse, found before anything is stored or sent.

Source: OpenAI's API reference. Each check returns the reason, or None. A null field counts as absent.
"""

from collections.abc import Callable, Mapping
from typing import Final

from batcher.policy.api_paths import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES

Body = Mapping[str, object]

_MAXIMA: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
MODEL_MISSING: Final = "`model` is missing"
_MOST_SHOWN: Final = 10**9
_MOST_DIGITS: Final = 10
#: What a message may have instead of `content`; the last two are fields of compatible servers.
_INSTEAD_OF_CONTENT: Final = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "reasoning")
#: What a Responses body may have instead of `input`.
_INSTEAD_OF_INPUT: Final = ("prompt", "previous_response_id", "conversation")


def unbatchable_reason(body: Body) -> str | None:
    """Return why no batch can run this body, whatever its endpoint, or None."""
    if body.get("stream") not in (None, False):
        return '`"stream": true` cannot be run as a batch; remove it'
    if body.get("background") not in (None, False):
        return '`"background": true` cannot be run as a batch; remove it'
    return None


def body_reason(path: str, body: Body, *, openai: bool) -> str | None:
    """Return why this endpoint would refuse the body, or None. For an unknown endpoint: None.

    `openai`: the base URL is OpenAI's. Compatible servers accept more, such as `max_tokens: -1`.
    """
    check = _CHECKS.get(path)
    reason = None if check is None else check(body)
    return reason or (None if check is None else _maxima(path, body, openai=openai))


def needs_model(path: str, body: Body) -> bool:
    """Return whether a body without a `model` would be refused there, as far as is known."""
    if path == MODERATIONS or "/deployments/" in path:
        return False
    return not (path == RESPONSES and isinstance(body.get("prompt"), dict))


def _chat(body: Body) -> str | None:
    return _model(body) or _messages(body.get("messages"))


def _completions(body: Body) -> str | None:
    embeds = body.get("prompt") is None and body.get("prompt_embeds") is not None
    return _model(body) or (None if embeds else _text(body, "prompt"))


def _embeddings(body: Body) -> str | None:
    # vLLM embeds chats, too.
    chat = body.get("input") is None and body.get("messages") is not None
    return _model(body) or (_messages(body["messages"]) if chat else _text(body, "input"))


def _moderations(body: Body) -> str | None:
    model = None if body.get("model") is None else _model(body)
    return model or _text(body, "input")


def _responses(body: Body) -> str | None:
    stands_in = body.get("input") in (None, [], {}) and any(
        body.get(name) is not None for name in _INSTEAD_OF_INPUT
    )
    model = None if body.get("model") is None and not needs_model(RESPONSES, body) else _model(body)
    return model or (None if stands_in else _text(body, "input"))


def _model(body: Body) -> str | None:
    model = body.get("model")
    if type(model) is str and model.strip():
        return None
    return MODEL_MISSING if model is None else "`model` must be a non-empty string"


def _text(body: Body, name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return f"`{name}` is missing"
    if not isinstance(value, str | list | dict):
        return f"`{name}` must be a string or a list"
    # An empty string is text, and some servers accept it; an empty list asks for nothing.
    return f"`{name}` is empty" if value in ([], {}) else None


def _messages(messages: object) -> str | None:
    if messages is None:
        return "`messages` is missing"
    if not isinstance(messages, list) or not messages:
        return "`messages` must be a non-empty list of objects with `role` and `content`"
    for index, message in enumerate(messages):
        reason = _message(message)
        if reason is not None:
            return f"`messages[{index}]{reason}"
    return None


def _message(message: object) -> str | None:
    """Return what is wrong with one message, as a text to follow "`messages[0]"."""
    if not isinstance(message, dict):
        return "` must be an object with `role` and `content`"
    role = message.get("role")
    if type(role) is not str or not role.strip():
        return "` has no `role`" if role is None else ".role` must be a non-empty string"
    content = message.get("content")
    if content is None:
        # A function's result may be null, but its key must be there.
        given = (role == "function" and "content" in message) or any(map(message.get, _INSTEAD_OF_CONTENT))
        return None if given else "` has no `content`"
    if not isinstance(content, str | list | dict):
        return ".content` must be a string or a list of parts"
    return None


def _maxima(path: str, body: Body, *, openai: bool) -> str | None:
    for name in _MAXIMA:
        value = body.get(name)
        if value is None or (type(value) is int and _is_maximum(value, path, body, openai=openai)):
            continue
        return f"`{name}` must be a positive integer{_shown(value)}"
    return None


def _is_maximum(value: int, path: str, body: Body, *, openai: bool) -> bool:
    if value == 0:
        # Scores the prompt itself.
        return path == COMPLETIONS and body.get("echo") is True
    return value > 0 or (value == -1 and not openai)


def _shown(value: object) -> str:
    """Say what a maximum is instead, if it can be said in a few characters."""
    if isinstance(value, float) and value.is_integer() and 0 < value < _MOST_SHOWN:
        return f"; it is {value}, a number with a decimal point: write {value:.0f}"
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _MOST_DIGITS:
        return f'; it is the text "{value}": write {value} without quotes'
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST_SHOWN:
        return f"; it is {value}"
    return ""


_CHECKS: Final[Mapping[str, Callable[[Body], str | None]]] = {
    CHAT: _chat,
    COMPLETIONS: _completions,
    EMBEDDINGS: _embeddings,
    RESPONSES: _responses,
    MODERATIONS: _moderations,
}
