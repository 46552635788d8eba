"""Reproducible draws: the same seed and the same words give the same number, on every machine and in any order."""

from hashlib import blake2b
from math import exp
from statistics import NormalDist

_NORMAL = NormalDist()
_SPAN = 2**64


def digest(*parts: bytes) -> bytes:
    """16 bytes that name these parts, in this order."""
    return blake2b(b"\0".join(parts), digest_size=16).digest()


def number(*words: bytes | int | str) -> int:
    """A whole number below 2**64."""
    parts = (word if isinstance(word, bytes) else str(word).encode() for word in words)
    return int.from_bytes(blake2b(b"\0".join(parts), digest_size=8).digest(), "big")


def share(*words: bytes | int | str) -> float:
    """A number in [0, 1)."""
    return number(*words) / _SPAN


def lognormal_factor(sigma: float, *words: bytes | int | str) -> float:
    """A factor around the median 1."""
    if sigma == 0:
        return 1.0
    inside = (number(*words) + 0.5) / _SPAN
    return exp(sigma * _NORMAL.inv_cdf(min(inside, 1 - 1e-12)))
