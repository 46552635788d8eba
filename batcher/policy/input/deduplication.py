"""Which requests are the same, which rows may share an answer, and when sharing may surprise."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from batcher.domain.messages import Cause, Message
from batcher.domain.requests import BadLine, ParsedLine
from batcher.domain.states import CacheMode
from batcher.policy.api_paths import EMBEDDINGS, MODERATIONS
from batcher.policy.input.foreign_forms import Form

#: How many bytes of a repeated line are kept.
KEPT_TEXT: Final = 2_000
_FIXED: Final = frozenset({EMBEDDINGS, MODERATIONS})


def shares_answer(line: ParsedLine, mode: CacheMode) -> bool:
    """Return whether the row may share its answer with rows of the same body."""
    return mode is CacheMode.ALL or (mode is CacheMode.DETERMINISTIC and line.deterministic)


def samples_at_random(path: str, body: Mapping[str, object]) -> bool:
    """Return whether the model samples the answer: not for embeddings, moderations, temperature 0 or a seed."""
    if path in _FIXED or body.get("seed") is not None:
        return False
    temperature = body.get("temperature")
    return isinstance(temperature, bool) or temperature != 0


def differs_each_time(path: str) -> bool:
    """Return whether the same body is answered differently each time, even at temperature 0 or with a seed."""
    return path not in _FIXED


def advice(count: int) -> Message:
    """Return what to say about rows that share an answer although each would get another one."""
    return Cause.SHARED_ANSWER(count=count) if count == 1 else Cause.SHARED_ANSWERS(count=count)


def repeated_id(line: ParsedLine, *, first: int) -> BadLine:
    """Return the refusal of a line whose custom_id the line `first` has."""
    return BadLine(
        line=line.line,
        reason=f'custom_id "{line.custom_id}" was already used in line {first}; each must be unique',
        text=line.body[:KEPT_TEXT].decode(errors="replace"),
        custom_id=line.custom_id,
        form=Form.REPEATED_ID,
    )


def fingerprint(path: str, body: bytes) -> bytes:
    """Return the first 16 bytes of SHA-256 over path, NUL and body. No key is part of it."""
    return sha256(b"%b\0%b" % (path.encode(), body)).digest()[:16]
