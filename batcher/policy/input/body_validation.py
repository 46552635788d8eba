"""What a provider would certainly refuse, found before anything is stored or sent.

Source: OpenAI's API reference. Each check returns the reason, or None. A null field counts as absent.
"""

from collections.abc import Callable, Mapping
from typing import Final

from batcher.policy.api_paths import CHAT, COMPLETIONS, EMBEDDINGS, MODERATIONS, RESPONSES

Body = Mapping[str, object]

_MAXIMA: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
#: What a message may have instead of `content`; the last two are fields of compatible servers.
_INSTEAD_OF_CONTENT: Final = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "reasoning")
#: What a Responses body may have instead of `input`.
_INSTEAD_OF_INPUT: Final = ("prompt", "previous_response_id", "conversation")


def body_reason(path: str, body: Body) -> str | None:
    """Return why this body cannot be sent to this path, or None.

    For an unknown endpoint, only what no batch can do.
    """
    check = _CHECKS.get(path)
    return _streamed(body) or (check(body) if check is not None else None)


def _streamed(body: Body) -> str | None:
    if body.get("stream") not in (None, False):
        return '`"stream": true` cannot be run as a batch; remove it'
    if body.get("background") not in (None, False):
        return '`"background": true` cannot be run as a batch; remove it'
    return None


def _chat(body: Body) -> str | None:
    return _model(body) or _messages(body.get("messages")) or _maxima(body)


def _completions(body: Body) -> str | None:
    return _model(body) or _text(body, "prompt") or _maxima(body)


def _embeddings(body: Body) -> str | None:
    return _model(body) or _text(body, "input") or _maxima(body)


def _moderations(body: Body) -> str | None:
    model = None if body.get("model") is None else _model(body)
    return model or _text(body, "input") or _maxima(body)


def _responses(body: Body) -> str | None:
    stands_in = body.get("input") in (None, [], {}) and any(
        body.get(name) is not None for name in _INSTEAD_OF_INPUT
    )
    return _model(body) or (None if stands_in else _text(body, "input")) or _maxima(body)


def _model(body: Body) -> str | None:
    model = body.get("model")
    if type(model) is str and model.strip():
        return None
    if model is None:
        return "`model` is missing; name the model, as a string"
    return "`model` must be a non-empty string"


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


def _maxima(body: Body) -> str | None:
    for name in _MAXIMA:
        value = body.get(name)
        if value is not None and (type(value) is not int or value < 1):
            return f"`{name}` must be a positive integer"
    return None


_CHECKS: Final[Mapping[str, Callable[[Body], str | None]]] = {
    CHAT: _chat,
    COMPLETIONS: _completions,
    EMBEDDINGS: _embeddings,
    RESPONSES: _responses,
    MODERATIONS: _moderations,
}
