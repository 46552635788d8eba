"""The one meter of what is shown as a rate or as a time left."""

import pytest

from batcher.policy.rate_meter import WINDOW_SECONDS, RateMeter, seconds_left


def metered(*samples: tuple[float, int]) -> RateMeter:
    meter = RateMeter()
    for now, total in samples:
        meter.sample(now, total)
    return meter


@pytest.mark.parametrize(
    ("samples", "per_second"),
    [
        ([], 0.0),
        ([(5.0, 100)], 0.0),
        ([(5.0, 100), (7.0, 104)], 2.0),
        ([(0.0, 0), (10.0, 1000), (10.0 + WINDOW_SECONDS, 1040)], 40 / WINDOW_SECONDS),
        ([(0.0, 0), (1.0, 10), (1000.0, 20)], 0.0),
        ([(0.0, 7), (5.0, 7), (10.0, 7)], 0.0),
    ],
)
def test_a_rate_is_the_average_over_the_last_seconds(samples, per_second):
    meter = metered(*samples)
    assert meter.per_second() == pytest.approx(per_second)
    assert meter.per_minute() == pytest.approx(60 * per_second)


@pytest.mark.parametrize(
    ("unfinished", "per_second", "left"), [(100, 4.0, 25.0), (100, 0.0, None), (0, 4.0, None), (-3, 4.0, None)]
)
def test_the_time_left_is_unknown_without_a_rate_or_a_rest(unfinished, per_second, left):
    assert seconds_left(unfinished, per_second) == left
