import pytest

from batcher.policy.rate.concurrency import FIRST_CAP, LAST_CAP, Climb, answered, queued


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


def test_after_a_queue_a_larger_cap_and_then_a_smaller_one_is_tried_ever_more_seldom():
    """Four places: 8 bring no more than 4, and 2 bring half."""
    caps, climb, at = [4], queued(4, 0.0), 0.0
    while at < 500.0:
        at += 1.0 / (4.0 * min(climb.cap, 4))
        climb = answered(climb, at, 0.25, is_full=True)
        if climb.cap != caps[-1]:
            caps.append(climb.cap)
    assert caps == [4, 8, 4, 2, 4, 8, 4, 2, 4]


@pytest.mark.parametrize(("places", "cap"), [(1, 2), (4, 4), (30, 32)])
def test_a_cap_that_was_too_large_comes_down(places, cap):
    climb, at, seen = Climb(), 0.0, []
    while at < 3_000.0:
        at += 1.0 / min(climb.cap, places)
        climb = answered(climb, at, max(1.0, climb.cap / places), is_full=True)
        seen.append(climb.cap)
    assert min(seen[len(seen) // 2 :]) <= cap
    assert sum(seen[len(seen) // 2 :]) / len(seen[len(seen) // 2 :]) <= 1.5 * cap


def test_a_cap_that_was_too_small_goes_up_at_once_and_on():
    climb, at = queued(4, 0.0), 0.0
    while at < 60.0:
        at += 0.5 / climb.cap
        climb = answered(climb, at, 0.5, is_full=True)
    assert climb.cap >= 324
