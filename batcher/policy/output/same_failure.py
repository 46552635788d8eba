"""What a person can do where row after row fails for one cause: the edit that the provider's words ask for."""

import re
from typing import Final

from batcher.domain.outcomes import Failure

#: The code of an answer that misses its format, as in `advice.py`.
_INVALID_OUTPUT: Final = "invalid_output"
#: A command of a fix that names no job yet.
_NO_JOB: Final = re.compile(r"`batcher resume(| -[^`]*)`")
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


def how_to_fix(failure: Failure, *, job: int) -> str:
    """Return the fix of a pause for one failure of many rows. `job` is the job's number."""
    if failure.code == _INVALID_OUTPUT:
        return (
            "see whether the model can keep the format, and whether its answers are cut (max_tokens); "
            f"`batcher resume {job} --no-validate-output` takes the answers unchecked, and `batcher resume {job}` "
            "alone makes dead letters of rows that fail so"
        )
    return (
        f"if every row needs a change, fix the file and submit it again; or `batcher resume {job}`: rows that "
        f"fail so are dead letters from then on, and `batcher dlq retry --job {job} {_edit(failure)}` changes them"
    )


def _edit(failure: Failure) -> str:
    """Return the options of `dlq retry` that make the edit, as far as the message names it."""
    asked = edit_asked_for(failure.message, failure.param)
    return asked or f"--set {_plain_name(failure.param) or 'PATH'}=VALUE"


def _plain_name(param: str | None) -> str | None:
    """Return a parameter's name if a shell reads it as it is: a provider chose it."""
    return param if param is not None and _PLAIN.fullmatch(param) else None


def edit_asked_for(message: str, param: str | None = None) -> str | None:
    """Return the options of `dlq retry` for what a provider's message asks for; None if it names no edit."""
    param = _plain_name(param)
    unsupported = _NOT_SUPPORTED.search(message) or _UNKNOWN.search(message)
    name = param or next(filter(None, unsupported.groups()), "") if unsupported else param
    renamed = _RENAMED.search(message)
    if name and renamed and renamed[1] != name:
        return f"--move {name}={renamed[1]}"
    if name and (unsupported or _FORBIDDEN.search(message)):
        return f"--unset {name}"
    return None


def fix_for(fix: str, job: int) -> str:
    """Return the fix of a pause with the job named in its commands: a pause may concern several jobs."""
    named = _NO_JOB.sub(rf"`batcher resume {job}\1`", fix)
    return named.replace("`batcher cancel JOB`", f"`batcher cancel {job}`")
