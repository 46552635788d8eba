"""Generated content: plausible sentences and embedding vectors.

Both are derived from their input, so the same request always gets the same answer.
"""

import struct
from base64 import b64encode
from collections.abc import Sequence
from hashlib import shake_256
from itertools import product
from math import sqrt

_OPENINGS = ("In short,", "As far as the text says,", "On a close reading,", "Overall,", "Put simply,")
_SUBJECTS = (
    "the customer",
    "the report",
    "this request",
    "the second paragraph",
    "the main argument",
    "the order",
)
_VERBS = ("asks for", "points to", "depends on", "describes", "leaves open", "rules out", "confirms")
_OBJECTS = (
    "a refund within the week",
    "a delay in delivery",
    "an account that was charged twice",
    "the terms of the contract",
    "a fault in the last update",
    "the figures of the third quarter",
    "a change of address",
)

SENTENCES = tuple(f"{' '.join(parts)}." for parts in product(_OPENINGS, _SUBJECTS, _VERBS, _OBJECTS))

#: Dimensions of an embedding, by model.
_SIZES = {"text-embedding-3-large": 3072}
_DEFAULT_SIZE = 1536

# Coprime to the number of sentences, so that every sentence is used before one repeats.
_STRIDE = 389


def text_of_length(start: int, least_chars: int) -> str:
    """Return whole sentences, at least one and at least `least_chars` characters, beginning at number `start`."""
    sentences: list[str] = []
    length = 0
    position = start % len(SENTENCES)
    while not sentences or length < least_chars:
        sentences.append(SENTENCES[position])
        length += len(SENTENCES[position]) + 1
        position = (position + _STRIDE) % len(SENTENCES)
    return " ".join(sentences)


def size_of(model: str, dimensions: int | None) -> int:
    """Return the length of a vector: the requested number of dimensions, or else the model's own."""
    return dimensions or _SIZES.get(model, _DEFAULT_SIZE)


def vector(text: bytes, size: int) -> list[float]:
    """Return a unit vector that is derived from the text."""
    drawn = struct.unpack(f"<{size}h", shake_256(text).digest(2 * size))
    length = sqrt(sum(value * value for value in drawn)) or 1.0
    return [round(value / length, 8) for value in drawn]


def as_base64(values: Sequence[float]) -> str:
    """Encode the numbers as little-endian 32-bit floats in base64."""
    return b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
