"""When sending to an endpoint stops and begins again: a table of moments, and what holds after any history."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.retry.circuit_breaker import (
    FIRST_PROBE,
    LAST_PROBE,
    OPEN_AFTER,
    UNREACHABLE_SECONDS,
    Breaker,
    Permission,
    alive,
    failed,
    paused,
    succeeded,
    verdict,
)

HOUR = 3600.0
#: What comes back: an answer, a refusal, a failure, a connection that could not be made.
WORDS = st.sampled_from(["answer", "refusal", "failure", "no connection"])
HISTORIES = st.lists(st.tuples(WORDS, st.floats(0, 100)), max_size=60)


def after(breaker: Breaker, word: str, now: float) -> Breaker:
    match word:
        case "answer":
            return succeeded(breaker)
        case "refusal":
            return alive(breaker)
        case _:
            return failed(breaker, now, unreachable=word == "no connection")


def failures(*times: float, answered: bool = True, unreachable: bool = False) -> Breaker:
    breaker = Breaker(answered=answered)
    for at in times:
        breaker = failed(breaker, at, unreachable=unreachable)
    return breaker


def opened(*later: float, answered: bool = True, unreachable: bool = False) -> Breaker:
    """Open since 0, and failed again at the later times."""
    return failures(*[0.0] * OPEN_AFTER, *later, answered=answered, unreachable=unreachable)


@pytest.mark.parametrize(
    ("breaker", "now", "expected"),
    [
        (Breaker(), 0.0, Permission.SEND),
        (failures(0.0), 0.1, Permission.SEND),
        (failures(*[0.0] * (OPEN_AFTER - 1)), 0.1, Permission.SEND),
        (opened(), 0.1, Permission.WAIT),
        (opened(), FIRST_PROBE, Permission.PROBE),
        (opened(), 50_000.0, Permission.PROBE),
        (opened(1.0), 2.9, Permission.WAIT),
        (opened(1.0), 3.0, Permission.PROBE),
        (opened(1.0, 3.0), 6.9, Permission.WAIT),
        (opened(1.0, 3.0), 7.0, Permission.PROBE),
        (opened(HOUR - 1), HOUR + 60.0, Permission.PROBE),
        (opened(HOUR), HOUR, Permission.GIVE_UP),
        (opened(30.0, unreachable=True), 30.0, Permission.WAIT),
        (opened(29.0, answered=False, unreachable=True), 500.0, Permission.PROBE),
        (opened(30.0, answered=False, unreachable=True), 30.0, Permission.GIVE_UP),
        (opened(30.0, answered=False), 30.0, Permission.WAIT),
        (failures(0.0, 30.0, answered=False, unreachable=True), 30.0, Permission.GIVE_UP),
        # Two failures with hours of nothing between them are no outage of hours.
        (failures(0.0, 2 * HOUR), 2 * HOUR, Permission.SEND),
    ],
)
def test_what_may_be_sent(breaker: Breaker, now: float, expected: Permission) -> None:
    assert verdict(breaker, now, max_wait=HOUR) is expected


def test_patience_below_half_a_minute_holds_for_an_endpoint_that_was_never_there() -> None:
    breaker = opened(10.0, answered=False, unreachable=True)
    assert verdict(breaker, 10.0, max_wait=10.0) is Permission.GIVE_UP


def test_failures_of_requests_that_were_in_flight_put_the_probe_off_but_once() -> None:
    together = failures(*[0.001 * number for number in range(200)])
    assert together.probes == 1
    assert together.next_probe == pytest.approx(FIRST_PROBE, abs=0.01)


def test_one_failure_of_a_request_that_was_sent_makes_it_no_longer_unreachable() -> None:
    breaker = failed(opened(29.0, answered=False, unreachable=True), 31.0, unreachable=False)
    assert verdict(breaker, 31.0, max_wait=HOUR) is Permission.WAIT


@given(HISTORIES)
def test_it_is_open_exactly_after_so_many_failures_without_anything_else_between(history) -> None:
    breaker, now, in_a_row = Breaker(), 0.0, 0
    for word, seconds in history:
        now += seconds
        breaker = after(breaker, word, now)
        in_a_row = 0 if word in {"answer", "refusal"} else in_a_row + 1
        assert breaker.failures == in_a_row
        assert breaker.is_open == (in_a_row >= OPEN_AFTER)
        assert (verdict(breaker, now, max_wait=1e9) is Permission.SEND) <= (not breaker.is_open)


@given(HISTORIES)
def test_it_remembers_answers_and_refusals_are_none(history) -> None:
    breaker = Breaker()
    for number, (word, _) in enumerate(history):
        breaker = after(breaker, word, float(number))
    assert breaker.answered == any(word == "answer" for word, _ in history)


@given(HISTORIES, st.floats(1, 5000))
def test_it_gives_up_only_on_failures_as_far_apart_as_the_patience(history, max_wait) -> None:
    breaker, now, run = Breaker(), 0.0, list[float]()
    for word, seconds in history:
        now += seconds
        breaker = after(breaker, word, now)
        run = [] if word in {"answer", "refusal"} else [*run, now]
        if verdict(breaker, now + 1.0, max_wait=max_wait) is Permission.GIVE_UP:
            assert run[-1] - run[0] >= min(max_wait, UNREACHABLE_SECONDS)
            assert breaker.never_reached or run[-1] - run[0] >= max_wait


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30))
def test_probes_go_further_and_further_apart_up_to_a_bound(delays) -> None:
    """Each probe goes as soon as it may and fails after some seconds."""
    breaker, now, waits = opened(), 0.0, list[float]()
    for delay in delays:
        waits.append(breaker.next_probe - now)
        now = breaker.next_probe + delay
        breaker = failed(breaker, now, unreachable=False)
    assert all(before <= later + 1e-6 for before, later in pairwise(waits))
    assert waits[0] == FIRST_PROBE
    assert max(waits) <= LAST_PROBE + 1e-6


@given(HISTORIES)
def test_after_an_answer_nothing_of_an_outage_is_left(history) -> None:
    breaker = Breaker()
    for number, (word, _) in enumerate(history):
        breaker = after(breaker, word, float(number))
    assert succeeded(breaker) == Breaker(answered=True)


@pytest.mark.parametrize("known", [False, True])
def test_an_endpoint_that_answered_an_earlier_run_is_never_taken_for_one_that_is_not_there(known: bool):
    state = Breaker(known=known)
    for now in (0.0, 10.0, 31.0):
        state = failed(state, now, unreachable=True)
    assert (verdict(state, 31.0, max_wait=3600.0) is Permission.GIVE_UP) is not known
    assert paused(state).known is known
    assert paused(succeeded(state)).known
