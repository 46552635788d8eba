"""The maximum output that a request's body states."""

from typing import Final

import msgspec

#: The fields that state it, in a request's body.
MAXIMA: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_decode: Final = msgspec.json.Decoder().decode


def stated_output(body: bytes) -> int | None:
    """Return the maximum output of one answer as the body states it; None if it states none.

    If it states several, the smallest is returned: only that much is certain.
    """
    document = _decode(body)
    if not isinstance(document, dict):
        return None
    return min((value for name in MAXIMA if type(value := document.get(name)) is int and value > 0), default=None)
