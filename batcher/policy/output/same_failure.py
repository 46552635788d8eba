"""What a person can do where row after row fails for one cause: the edit that the provider's words ask for."""

import re
from typing import Final

from batcher.domain.outcomes import Failure

#: The code of an answer that misses its format, as in `advice.py`.
_INVALID_OUTPUT: Final = "invalid_output"
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
    param, message = failure.param, failure.message
    unsupported = _NOT_SUPPORTED.search(message) or _UNKNOWN.search(message)
    name = param or next(filter(None, unsupported.groups()), "") if unsupported else param
    renamed = _RENAMED.search(message)
    if name and renamed and renamed[1] != name:
        return f"--move {name}={renamed[1]}"
    if name and (unsupported or _FORBIDDEN.search(message)):
        return f"--unset {name}"
    return f"--set {name or 'PATH'}=VALUE"
