"""Whether asking twice gives two different answers."""

from collections.abc import Mapping
from typing import Final

from batcher.policy.paths import EMBEDDINGS, MODERATIONS

_FIXED: Final = frozenset({EMBEDDINGS, MODERATIONS})


def samples_at_random(path: str, body: Mapping[str, object]) -> bool:
    """Whether the provider draws the answer: not so for embeddings, moderations, temperature 0 or with a seed."""
    if path in _FIXED or body.get("seed") is not None:
        return False
    temperature = body.get("temperature")
    return isinstance(temperature, bool) or temperature != 0
