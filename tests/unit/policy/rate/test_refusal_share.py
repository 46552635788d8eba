"""Refusals of a limit come one after another and end at half the rate; random ones do neither."""

import random

import pytest

from batcher.policy.rate.refusal_share import (
    PROVED,
    RefusalShare,
    Trial,
    after_vain_trial,
    odds_of_chance,
    share_to_try,
    with_refusal,
)


def after(*numbers):
    share = RefusalShare()
    for number in numbers:
        share = with_refusal(share, number)
    return share


@pytest.mark.parametrize(
    ("numbers", "is_worth_it"),
    [
        ([100, 101, 102], False),
        ([100, 101, 102, 103, 104], True),
        ([1, 2, 3, 4], False),
        (range(1, 7), True),
        (range(100, 116, 2), True),
        (range(100, 2000, 100), False),
        (range(10, 400, 10), True),
    ],
)
def test_refusals_that_come_close_together_or_for_long_are_worth_a_lower_rate(numbers, is_worth_it):
    assert (share_to_try(after(*numbers)) is not None) is is_worth_it


@pytest.mark.parametrize("usual", [0.01, 0.02])
def test_few_random_refusals_are_not(usual):
    draw, share = random.Random(3), RefusalShare()
    for number in range(1, 100_000):
        if draw.random() < usual:
            share = with_refusal(share, number)
            assert share_to_try(share) is None


def test_after_a_trial_in_vain_the_share_is_usual():
    share = after_vain_trial(after(*range(10, 400, 10)), 400)
    for number in range(410, 2_000, 10):
        share = with_refusal(share, number)
        assert share_to_try(share) is None


@pytest.mark.parametrize(
    ("share", "sent", "refused", "is_chance"),
    [
        (0.1, 30, 3, True),
        (0.1, 60, 0, False),
        (0.3, 10, 2, True),
        (0.3, 20, 0, False),
        # A limit of a tenth of the rate still refuses nearly all at half of it.
        (0.9, 20, 16, False),
        (0.9, 3, 2, None),
    ],
)
def test_half_the_rate_decides(share, sent, refused, is_chance):
    odds = odds_of_chance(Trial(share, 100, refused), 100 + sent)
    if is_chance is None:
        assert abs(odds) < PROVED
    else:
        assert (odds > 0) is is_chance
