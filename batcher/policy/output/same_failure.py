"""What a person can do where row after row fails for one cause: the edit that the provider's words ask for."""

import re
from typing import Final

from batcher.domain.messages import Cause, Message
from batcher.domain.outcomes import Failure

#: The code of an answer that misses its format, as in `advice.py`.
_INVALID_OUTPUT: Final = "invalid_output"
_PLAIN: Final = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_NAME: Final = r"[`'\"]?([A-Za-z_][\w.]*)[`'\"]?"
#: "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
_RENAMED: Final = re.compile(rf"\buse {_NAME} instead\b", re.IGNORECASE)
_UNKNOWN: Final = re.compile(
    rf"\b(?:unknown|unrecognized|unsupported|unexpected|extra|invalid)\s+(?:request\s+)?"
    rf"(?:parameter|argument|field|name|key|property)s?\b(?: supplied)?:?\s*{_NAME}",
    re.IGNORECASE,
)
_NOT_SUPPORTED: Final = re.compile(
    rf"{_NAME} (?:is|are) (?:not (?:supported|permitted|allowed)|unsupported)\b"
    rf"|\bdoes not (?:support|accept) (?:the )?(?:parameter )?{_NAME}",
    re.IGNORECASE,
)
_FORBIDDEN: Final = re.compile(r"\bextra inputs are not permitted\b|\bextra_forbidden\b", re.IGNORECASE)


def how_to_fix(failure: Failure) -> Message:
    """Return how to end a pause for one failure of many rows."""
    if failure.code == _INVALID_OUTPUT:
        return Cause.FORMAT_MISSED()
    asked = edit_asked_for(failure.message, failure.param)
    return Cause.SAME_FAILURE(edit=asked or Cause.EDIT_SET(path=_plain_name(failure.param) or "PATH"))


def _plain_name(param: str | None) -> str | None:
    """Return a parameter's name if a shell reads it as it is: a provider chose it."""
    return param if param is not None and _PLAIN.fullmatch(param) else None


def edit_asked_for(message: str, param: str | None = None) -> Message | None:
    """Return the edit of the body that a provider's message asks for; None if it names no edit."""
    param = _plain_name(param)
    unsupported = _NOT_SUPPORTED.search(message) or _UNKNOWN.search(message)
    name = param or next(filter(None, unsupported.groups()), "") if unsupported else param
    renamed = _RENAMED.search(message)
    if name and renamed and renamed[1] != name:
        return Cause.EDIT_MOVE(path=name, to=renamed[1])
    if name and (unsupported or _FORBIDDEN.search(message)):
        return Cause.EDIT_UNSET(path=name)
    return None
