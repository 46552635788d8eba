"""Reproducible random draws: equal arguments give the same number, on every machine and in any order."""

from hashlib import blake2b
from math import exp
from statistics import NormalDist

_NORMAL = NormalDist()
_SPAN = 2**64


def digest(*parts: bytes) -> bytes:
    """Return a digest of the parts in this order, 16 bytes."""
    return blake2b(b"\0".join(parts), digest_size=16).digest()


def number(*parts: bytes | int | str) -> int:
    """Return a whole number below 2**64."""
    encoded = (part if isinstance(part, bytes) else str(part).encode() for part in parts)
    return int.from_bytes(blake2b(b"\0".join(encoded), digest_size=8).digest(), "big")


def share(*parts: bytes | int | str) -> float:
    """Return a number in [0, 1)."""
    return number(*parts) / _SPAN


def lognormal_factor(sigma: float, *parts: bytes | int | str) -> float:
    """Return a lognormal factor with median 1."""
    if sigma == 0:
        return 1.0
    inside = (number(*parts) + 0.5) / _SPAN
    return exp(sigma * _NORMAL.inv_cdf(min(inside, 1 - 1e-12)))
