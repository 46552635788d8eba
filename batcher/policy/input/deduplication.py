"""Which requests are the same, which rows may share an answer, and when sharing may surprise."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from batcher.domain.requests import ParsedLine
from batcher.domain.states import CacheMode
from batcher.policy.api_paths import EMBEDDINGS, MODERATIONS

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


def advice(count: int) -> str:
    """Return what to say about rows that share an answer although the model samples at random."""
    return (
        f"{count:,} rows repeat another row's body and share its answer, though the model samples at random; "
        "for independent samples give each row its own `seed`, or run with --no-cache --new"
    )


def fingerprint(path: str, body: bytes) -> bytes:
    """Return the first 16 bytes of SHA-256 over path, NUL and body. No key is part of it."""
    return sha256(b"%b\0%b" % (path.encode(), body)).digest()[:16]
