r"""Splits identifiers into words, so that patterns of words find them in codes and field names, too.

For a regular expression the underscore belongs to the word: `\bparallel\b` does not match within
`max_parallel_requests`.
"""

import re
from typing import Final

_JOINTS: Final = re.compile(
    r"_+"
    # max-parallel-requests; gpt-4o and 2026-11-22 stay as they are.
    r"|(?<=[A-Za-z])-(?=[A-Za-z])"
    # TooManyRequests, TPMLimit.
    r"|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
)


def as_words(*texts: str) -> str:
    """Return the texts in one, with a blank between the words of every identifier."""
    return _JOINTS.sub(" ", " ".join(texts))
