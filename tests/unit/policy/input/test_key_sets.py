"""Which keys came before."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.input import key_sets
from batcher.policy.input.key_sets import KEY_BYTES, BloomFilter, CompactKeyIndex

keys = st.one_of(
    st.integers(0, 50).map(lambda n: sha256(bytes([n])).digest()[:KEY_BYTES]),
    # Keys that all want the same slot.
    st.integers(0, 20).map(lambda n: bytes(8) + n.to_bytes(8, "big")),
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
)


@given(st.lists(keys))
def test_it_answers_as_a_dict_would(given_keys):
    key_sets = CompactKeyIndex()
    model: dict[bytes, int] = {}
    for number, key in enumerate(given_keys):
        assert key_sets.add(key, number) == model.get(key)
        model.setdefault(key, number)
    assert len(key_sets) == len(model)


def test_it_still_knows_every_key_after_it_grew():
    key_sets = CompactKeyIndex()
    many = [sha256(n.to_bytes(4, "big")).digest()[:KEY_BYTES] for n in range(10_000)]
    assert [key_sets.add(key, n) for n, key in enumerate(many)] == [None] * len(many)
    assert [key_sets.add(key, 0) for key in many] == list(range(10_000))


def key_of(number: int) -> bytes:
    return sha256(number.to_bytes(4, "big")).digest()[:KEY_BYTES]


@given(st.lists(st.lists(keys)))
def test_whatever_came_twice_is_found(chunks):
    repeats = BloomFilter()
    once: set[bytes] = set()
    twice: set[bytes] = set()
    for chunk in chunks:
        repeats.add(iter(chunk))
        for key in chunk:
            (twice if key in once else once).add(key)
    assert repeats.found is not None
    assert twice <= repeats.found <= once


def test_few_of_those_that_came_once_are_taken_for_repeats():
    repeats = BloomFilter()
    repeats.add(map(key_of, range(100_000)))
    assert repeats.found is not None
    assert len(repeats.found) < 300


@pytest.mark.parametrize(("keys_given", "told"), [(10, True), (11, False)])
def test_too_many_repeats_are_not_told(monkeypatch, keys_given, told):
    monkeypatch.setattr(key_sets, "_MOST_REPEATS", 10)
    repeats = BloomFilter()
    for _ in range(3):
        repeats.add(map(key_of, range(keys_given)))
    assert repeats.found == ({key_of(number) for number in range(keys_given)} if told else None)
