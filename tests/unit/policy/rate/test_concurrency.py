import pytest

from batcher.policy.rate.concurrency import FIRST_CAP, LAST_CAP, Climb, answered


def climbed(throughput, seconds, *, latency=0.5):
    """The cap after so long, where `throughput` tells replies a second by the cap."""
    climb, at = Climb(), 0.0
    while at < seconds:
        at += 1.0 / throughput(climb.cap)
        climb = answered(climb, at, latency, is_full=True)
    return climb.cap


@pytest.mark.parametrize(
    ("best", "cap"),
    [
        (10_000, LAST_CAP),  # no end of it: half as many again each time
        (64, FIRST_CAP),  # capacity reached at the first cap
        (100, 96),
    ],
)
def test_more_at_once_as_long_as_more_is_done(best, cap):
    assert climbed(lambda at_once: min(at_once, best) * 2.0, 20.0) == cap


def test_the_climb_takes_a_second_or_two_a_step():
    assert climbed(lambda at_once: at_once * 2.0, 8.0) in {324, 486}


def test_a_lane_that_is_not_full_does_not_climb():
    climb = Climb(since=0.0, count=50)
    assert answered(climb, 60.0, 0.5, is_full=False) == Climb()
