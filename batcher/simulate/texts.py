"""Plausible sentences, chosen by a number, so that the same request is always told the same."""

from itertools import product

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

# Coprime to the number of sentences, so that a walk visits every one before it repeats.
_STRIDE = 389


def text_of_length(start: int, least_chars: int) -> str:
    """Whole sentences of at least `least_chars` characters (at least one), walked from a number."""
    sentences: list[str] = []
    length = 0
    position = start % len(SENTENCES)
    while not sentences or length < least_chars:
        sentences.append(SENTENCES[position])
        length += len(SENTENCES[position]) + 1
        position = (position + _STRIDE) % len(SENTENCES)
    return " ".join(sentences)
