"""Rounding never makes a gate ask for ever at the same instant."""

from math import ulp

from hypothesis import given
from hypothesis import strategies as st

from batcher.budget.rate_search import PaceSearch

#: A loop runs timers that are due within its clock's resolution at once: so short a sleep takes no time.
RESOLUTION_S = 1e-9


@given(sent_for=st.floats(0.01, 10.0), off=st.integers(-8, 8))
def test_a_wait_is_none_or_long_enough_to_be_slept(sent_for: float, off: int) -> None:
    blind = PaceSearch(0.0)
    mark = blind.spend(0.0)
    blind.refused(mark, sent_for, probe=False)
    end = sent_for + blind.wait(sent_for)
    wait = blind.wait(end + off * ulp(end))
    assert wait == 0.0 or wait > RESOLUTION_S
