"""Which keys came before."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.seen import KEY_BYTES, Seen

keys = st.one_of(
    st.integers(0, 50).map(lambda n: sha256(bytes([n])).digest()[:KEY_BYTES]),
    # Keys that all want the same slot.
    st.integers(0, 20).map(lambda n: bytes(8) + n.to_bytes(8, "big")),
    st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES),
)


@given(st.lists(keys))
def test_it_answers_as_a_dict_would(given_keys):
    seen = Seen()
    model: dict[bytes, int] = {}
    for number, key in enumerate(given_keys):
        assert seen.add(key, number) == model.get(key)
        model.setdefault(key, number)
    assert len(seen) == len(model)


def test_it_still_knows_every_key_after_it_grew():
    seen = Seen()
    many = [sha256(n.to_bytes(4, "big")).digest()[:KEY_BYTES] for n in range(10_000)]
    assert [seen.add(key, n) for n, key in enumerate(many)] == [None] * len(many)
    assert [seen.add(key, 0) for key in many] == list(range(10_000))
