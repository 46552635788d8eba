"""What makes requests the same, and whether asking twice gives one answer."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.input.deduplication import fingerprint, samples_at_random

CHAT = "/v1/chat/completions"


def test_a_fingerprint_is_half_of_a_sha_256_over_path_nul_and_body():
    assert fingerprint("/v1/x", b"{}") == hashlib.sha256(b"/v1/x\x00{}").digest()[:16]


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_other_bytes_have_another_fingerprint(one, other):
    assert (fingerprint("/v1/x", one) == fingerprint("/v1/x", other)) == (one == other)


def test_the_same_body_to_another_path_is_another_request():
    assert fingerprint("/v1/x", b"{}") != fingerprint("/v1/y", b"{}")


@pytest.mark.parametrize(
    ("path", "body", "random"),
    [
        (CHAT, {}, True),
        (CHAT, {"temperature": 0}, False),
        (CHAT, {"temperature": 0.0}, False),
        (CHAT, {"temperature": -0.0}, False),
        (CHAT, {"temperature": 0.1}, True),
        (CHAT, {"temperature": None}, True),
        (CHAT, {"temperature": False}, True),
        (CHAT, {"temperature": "0"}, True),
        (CHAT, {"seed": 0}, False),
        (CHAT, {"seed": None}, True),
        (CHAT, {"seed": 7, "temperature": 2}, False),
        ("/v1/embeddings", {}, False),
        ("/v1/moderations", {}, False),
        ("/v1/other", {}, True),
    ],
)
def test_an_answer_is_drawn_at_random_unless_something_fixes_it(path, body, random):
    assert samples_at_random(path, body) is random
