"""Whose fault a failure is: rows that were sent later, and how many fail alike one after another, show it."""

import pytest

from batcher.policy.retry.failure_run import (
    HOLD_AFTER,
    HOLD_AFTER_ANSWERS,
    HOLD_AFTER_BLOCK_AND_ANSWERS,
    MOST_PROBES,
    FailureCause,
    FailureRun,
    Verdict,
)

BAD = FailureCause(400, "unsupported_parameter", "max_tokens")
LONG = FailureCause(400, "context_length_exceeded")
NO_KEY = FailureCause(401, "invalid_api_key")


def fail(run: FailureRun, numbers: range | list[int], cause: FailureCause = BAD, *, blocks: bool = False) -> None:
    for number in numbers:
        assert run.failed(number, cause, blocks=blocks) is Verdict.UNDECIDED


def test_rows_that_failed_before_one_that_is_answered_are_at_fault() -> None:
    run = FailureRun()
    fail(run, [1, 2, 4])
    assert run.answered(3) == [1, 2]
    assert run.answered(5) == [4]
    assert run.answered(6) == []
    assert run.has_answered


def test_an_answer_to_a_row_that_was_sent_before_shows_nothing() -> None:
    run = FailureRun(answered=True)
    fail(run, [5], NO_KEY, blocks=True)
    assert run.answered(4) == []
    assert run.of_held() == []


@pytest.mark.parametrize(
    ("answered", "blocks", "most"),
    [
        (False, False, HOLD_AFTER),
        (True, False, HOLD_AFTER_ANSWERS),
        (False, True, 1),
        (True, True, HOLD_AFTER_BLOCK_AND_ANSWERS),
    ],
)
def test_the_route_is_held_when_so_many_fail_alike_one_after_another(
    answered: bool, blocks: bool, most: int
) -> None:
    run = FailureRun(answered=answered)
    fail(run, range(1, most), blocks=blocks)
    assert run.of_held() == []
    fail(run, [most], blocks=blocks)
    assert run.of_held() == list(range(1, most + 1))


def test_the_order_in_which_they_come_back_does_not_matter() -> None:
    run = FailureRun()
    fail(run, [8, 1, 7, 2, 6, 3, 5])
    assert run.of_held() == []
    fail(run, [4])
    assert run.of_held() == [8, 1, 7, 2, 6, 3, 5, 4]


@pytest.mark.parametrize("between", [9, 12])
def test_rows_with_one_between_that_is_in_flight_or_failed_otherwise_are_no_run(between: int) -> None:
    run = FailureRun()
    fail(run, [number for number in range(1, 2 * HOLD_AFTER) if number % HOLD_AFTER])
    fail(run, [between + 20], LONG)
    assert run.held_for is None


def test_a_probe_that_fails_alike_shows_that_it_is_the_route() -> None:
    run = FailureRun()
    fail(run, range(1, HOLD_AFTER + 1))
    fail(run, [HOLD_AFTER + 1])  # was in flight
    assert run.failed(HOLD_AFTER + 2, BAD, blocks=False, probe=True) is Verdict.ROUTE
    assert run.of_held() == list(range(1, HOLD_AFTER + 3))
    run.remove(run.of_held())
    assert run.held_for is None


def test_a_probe_that_is_answered_shows_that_it_is_the_rows() -> None:
    run = FailureRun()
    fail(run, [1], NO_KEY, blocks=True)
    assert run.held_for == NO_KEY
    assert run.answered(2) == [1]
    assert run.held_for is None


def test_probes_that_fail_for_other_causes_are_not_asked_for_ever() -> None:
    run = FailureRun()
    fail(run, [1], NO_KEY, blocks=True)
    verdicts = [
        run.failed(2 + number, FailureCause(400, f"e{number}"), blocks=False, probe=True)
        for number in range(MOST_PROBES)
    ]
    assert verdicts == [Verdict.UNDECIDED] * (MOST_PROBES - 1) + [Verdict.ROUTE]
    assert run.of_held() == [1]


def test_a_confirmed_cause_is_the_rows() -> None:
    run = FailureRun(confirmed=frozenset({str(BAD)}))
    assert run.failed(1, BAD, blocks=False) is Verdict.ROW
    assert run.failed(2, LONG, blocks=False) is Verdict.UNDECIDED
    assert run.answered(3) == [2]


def test_a_confirmed_cause_of_a_pause_counts_as_any_other_failure() -> None:
    run = FailureRun(confirmed=frozenset({str(NO_KEY)}))
    fail(run, range(1, HOLD_AFTER), NO_KEY, blocks=True)
    assert set(run.exhausted().values()) == {Verdict.ROW}
    fail(run, [HOLD_AFTER], NO_KEY, blocks=True)
    assert len(run.of_held()) == HOLD_AFTER


@pytest.mark.parametrize(
    ("answered", "blocks", "of_key", "verdict"),
    [
        (False, False, False, Verdict.ROW),
        (True, False, False, Verdict.ROW),
        (False, True, False, Verdict.ROUTE),
        (False, True, True, Verdict.ROUTE),
        (True, True, False, Verdict.ROW),
        (True, True, True, Verdict.ASK_AGAIN),
    ],
)
def test_without_another_row_to_ask(answered: bool, blocks: bool, of_key: bool, verdict: Verdict) -> None:
    run = FailureRun(answered=answered)
    run.failed(1, NO_KEY, blocks=blocks, of_key=of_key)
    assert run.exhausted() == {1: verdict}


def test_without_another_row_to_ask_a_run_is_the_routes() -> None:
    run = FailureRun()
    fail(run, range(1, HOLD_AFTER + 1))
    fail(run, [HOLD_AFTER + 1], LONG)
    verdicts = run.exhausted()
    assert set(verdicts) == set(range(1, HOLD_AFTER + 2))
    assert [number for number, verdict in verdicts.items() if verdict is Verdict.ROW] == [HOLD_AFTER + 1]
    assert run.held_for == BAD


def test_the_last_row_is_asked_once_more_as_a_probe_of_itself() -> None:
    run = FailureRun(answered=True)
    run.failed(7, NO_KEY, blocks=True, of_key=True)
    run.ask_again([7])
    assert run.held_for == NO_KEY
    assert run.failed(8, NO_KEY, blocks=True, of_key=True, probe=True) is Verdict.ROUTE
    assert run.of_held() == [8]


def test_the_last_row_is_answered_when_it_is_asked_once_more() -> None:
    run = FailureRun(answered=True)
    run.failed(7, NO_KEY, blocks=True, of_key=True)
    run.ask_again([7])
    assert run.answered(8) == []
    assert run.held_for is None


def test_the_store_keeps_a_cause_as_text() -> None:
    assert [str(cause) for cause in (BAD, LONG, FailureCause(None, "internal_error"))] == [
        "400 unsupported_parameter max_tokens",
        "400 context_length_exceeded",
        "- internal_error",
    ]


def test_refusals_by_a_limit_between_them_do_not_part_rows_that_fail_alike() -> None:
    run = FailureRun()
    for number in range(1, 2 * HOLD_AFTER):
        if number % 2:
            fail(run, [number])
        else:
            run.said_nothing(number)
    assert run.held_for is not None
    run.remove(run.of_held())
    assert run.held_for is None


def test_without_another_row_to_ask_those_of_a_route_that_never_answered_count_together() -> None:
    run = FailureRun()
    fail(run, range(1, 2 * HOLD_AFTER + 2, 2))
    assert run.held_for is None
    assert set(run.exhausted().values()) == {Verdict.ROUTE}
    answered = FailureRun(answered=True)
    fail(answered, range(1, 2 * HOLD_AFTER + 2, 2))
    assert set(answered.exhausted().values()) == {Verdict.ROW}


def test_the_position_of_a_parameter_makes_no_other_cause():
    first = FailureCause.of(400, "invalid_value", "messages[3].content")
    assert first == FailureCause.of(400, "invalid_value", "messages[12].content")
    assert first != FailureCause.of(400, "invalid_value", "messages[3].role")
