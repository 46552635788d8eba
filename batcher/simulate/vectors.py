"""Embedding vectors: of length one, and always the same for the same text."""

import struct
from base64 import b64encode
from collections.abc import Sequence
from hashlib import shake_256
from math import sqrt

_SIZES = {"text-embedding-3-large": 3072}
_DEFAULT_SIZE = 1536


def size_of(model: str, dimensions: int | None) -> int:
    """How many numbers a vector has: what was asked for, else the model's own."""
    return dimensions or _SIZES.get(model, _DEFAULT_SIZE)


def vector(text: bytes, size: int) -> list[float]:
    """A unit vector, drawn from the text."""
    drawn = struct.unpack(f"<{size}h", shake_256(text).digest(2 * size))
    length = sqrt(sum(value * value for value in drawn)) or 1.0
    return [round(value / length, 8) for value in drawn]


def as_base64(values: Sequence[float]) -> str:
    """The numbers as little-endian 32-bit floats in base64."""
    return b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
