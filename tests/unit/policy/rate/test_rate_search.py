import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.rate.rate_search import (
    EARLY_CUT,
    MOST_PROBE,
    RateSearchState,
    Refusal,
    after_idling,
    after_quiet,
    rate_at,
    refused,
    restored,
    started,
)

FOUND = RateSearchState(since=100.0, rate=30.0, estimate=30.0, quiet=10.0, noted=Refusal(100.0, 900.0, 33.0))


def test_the_first_refusal_halves_the_rate_and_then_it_is_sought_by_a_tenth_a_second():
    state = started(Refusal(10.0, 80.0, 60.0), 10.0)
    assert [rate_at(state, at) for at in (10.0, 11.0, 12.0)] == pytest.approx([30.0, 33.0, 36.3])


def test_what_was_let_in_between_two_refusals_by_the_time_between_them_is_the_limit():
    state = refused(started(Refusal(10.0, 80.0, 60.0), 10.0), Refusal(14.0, 200.0, 40.0), 14.1)
    assert state.estimate == 30.0
    assert rate_at(state, 14.1) == pytest.approx(29.4)


def test_a_refusal_that_comes_too_soon_to_count_only_cuts():
    state = refused(FOUND, Refusal(100.1, 903.0, 32.0), 100.1)
    assert rate_at(state, 100.1) == pytest.approx(EARLY_CUT * 32.0)
    assert (state.early, state.noted) == (True, FOUND.noted)


def test_far_below_the_rate_an_early_refusal_bounds_it_by_what_was_counted():
    state = refused(started(Refusal(0.0, 3.0, 30.0), 0.0), Refusal(2.0, 5.0, 15.0), 2.0)
    assert rate_at(state, 2.0) == pytest.approx(3.0)


def test_requests_that_were_counted_as_let_in_and_refused_after_all_do_not_make_the_estimate_nothing():
    """Eight were on their way when the first refusal was noted; six of them were refused as well."""
    state = refused(started(Refusal(0.0, 8.0, 30.0), 0.0), Refusal(2.0, 3.0, 15.0), 2.0)
    assert rate_at(state, 2.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("span", "count", "estimate", "quiet"),
    [
        (30.0, 930.0, 31.0, 20.0),  # counted for long: believed whole
        (3.0, 93.0, 30.2, 20.0),  # a tenth of a half minute counts a tenth, upward twice
        (3.0, 87.0, 29.9, 20.0),
        (30.0, 600.0, 20.0, 5.0),  # more than a tenth away: the limit is another
        (30.0, 1200.0, 40.0, 1.0),  # and higher than could be counted
    ],
)
def test_a_count_moves_the_estimate_by_its_length(span, count, estimate, quiet):
    state = refused(FOUND, Refusal(100.0 + span, 900.0 + count, 33.0), 100.0 + span)
    assert state.estimate == pytest.approx(estimate)
    assert state.quiet == quiet


def test_after_the_quiet_the_rate_is_tried_upward_faster_and_faster():
    rates = [rate_at(FOUND, 110.0 + tried) / 30.0 for tried in (-1.0, 0.0, 5.0, 15.0, 60.0)]
    assert rates == pytest.approx([0.98, 1.02, 1.057, 2.02, MOST_PROBE], abs=1e-3)


def test_a_trial_that_nothing_refuses_makes_the_estimate_higher():
    assert after_quiet(FOUND, 129.0) is FOUND
    after = after_quiet(FOUND, 130.0)
    assert after.estimate == pytest.approx(0.7 * rate_at(FOUND, 130.0))


def test_idle_time_is_no_reason_to_send_faster():
    assert rate_at(after_idling(FOUND, 50.0), 150.0) == rate_at(FOUND, 100.0)


@given(
    estimate=st.floats(0.01, 1e5),
    steps=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1e4), st.booleans()), max_size=40),
)
def test_the_rate_is_always_above_nothing(estimate, steps):
    state, at, admitted = restored(estimate, 0.0), 0.0, 0.0
    for seconds, count, is_refused in steps:
        at, admitted = at + seconds, admitted + count
        rate = rate_at(state, at)
        state = refused(state, Refusal(at, admitted, rate), at) if is_refused else after_quiet(state, at)
        assert rate_at(state, at) > 0
