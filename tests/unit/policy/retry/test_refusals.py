"""A row that is refused alone, time and again, is refused because of itself; a lane that is refused is not."""

import pytest

from batcher.policy.retry.refusals import (
    ALONE_SECONDS,
    MOST_ALONE,
    MOST_BESIDE_ANSWERS,
    LaneTally,
    RowRefusals,
    refused,
)


def after(
    count: int,
    *,
    answered: int = 0,
    others_refused: int = 0,
    has_others: bool = True,
    seconds: float = 1.0,
    is_plain: bool = True,
    answered_since_sent: bool = False,
    before: int = 10,
) -> RowRefusals:
    """So many refusals of one row, with so many answers and refusals of others before each."""
    found = RowRefusals()
    for number in range(1, count + 1):
        lane = LaneTally(number * (1 + others_refused), before + number * answered, has_others)
        found = refused(found, lane, number * seconds, is_plain=is_plain, answered_since_sent=answered_since_sent)
    return found


def test_five_refusals_of_one_row_alone_are_too_many_if_others_are_answered_between() -> None:
    assert not after(MOST_ALONE - 1, answered=1).are_too_many
    assert after(MOST_ALONE, answered=1).are_too_many


@pytest.mark.parametrize(
    "more",
    [
        {"answered": 1, "others_refused": 1},
        {"answered": 1, "is_plain": False},
        {"answered": 0},
        {"answered": 0, "has_others": False, "seconds": 1.0},
        {"answered": 0, "has_others": False, "seconds": ALONE_SECONDS, "before": 0},
    ],
    ids=["others are refused", "it says why", "nothing is answered", "in a minute", "never answered"],
)
def test_a_lane_that_is_refused_says_nothing_about_the_row(more: dict[str, float]) -> None:
    assert not after(15, **more).are_too_many  # type: ignore[arg-type]


def test_the_last_row_is_given_more_than_a_minute() -> None:
    assert not after(MOST_ALONE - 1, has_others=False, seconds=ALONE_SECONDS).are_too_many
    assert after(MOST_ALONE, has_others=False, seconds=ALONE_SECONDS).are_too_many


def test_among_refusals_of_others_it_takes_twenty_while_others_are_answered() -> None:
    assert not after(MOST_BESIDE_ANSWERS - 1, others_refused=3, answered_since_sent=True).are_too_many
    assert after(MOST_BESIDE_ANSWERS, others_refused=3, answered_since_sent=True).are_too_many
