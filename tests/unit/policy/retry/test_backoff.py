"""The arithmetic of waiting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.retry.backoff import BASE_US, CAP_US, backoff_us

JITTER = st.floats(0, 1, exclude_max=True)
TRIES = st.integers(0, 10_000)


@pytest.mark.parametrize(("n", "seconds"), [(0, 1), (1, 2), (5, 32), (6, 60), (100, 60), (-3, 1)])
def test_it_doubles_from_one_second_to_a_minute(n, seconds):
    assert backoff_us(n, jitter=0.0) == seconds * 1_000_000


@given(TRIES, JITTER, st.integers(1, 10**9), st.integers(1, 10**12))
def test_jitter_only_lengthens_and_by_half_at_most(n, jitter, base, cap):
    least = backoff_us(n, base_us=base, cap_us=cap, jitter=0.0)
    assert least == min(cap, base * 2**n)
    assert least <= backoff_us(n, base_us=base, cap_us=cap, jitter=jitter) <= least * 3 // 2 + 1


@given(TRIES, JITTER)
def test_it_never_shrinks_from_try_to_try_and_stays_under_one_and_a_half_caps(n, jitter):
    assert BASE_US <= backoff_us(n, jitter=jitter) <= backoff_us(n + 1, jitter=jitter) <= CAP_US * 3 // 2
