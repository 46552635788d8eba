import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.lanes import DayBegins, DayUse, HourUse
from batcher.policy.rate.daily_quota import (
    DayLimits,
    counted,
    first_counted,
    has_room,
    hour_with_room,
    total,
    with_known_day,
    with_use,
)

PACIFIC = DayBegins(earliest=7, latest=8)
UTC = DayBegins(earliest=0, latest=0)


@pytest.mark.parametrize(
    ("begins", "hour", "first"),
    [
        # An hour counts whole: what went at 10:59 still counts the next day at 10:30.
        (None, 48 + 10, 24 + 10),
        (UTC, 48 + 10, 48),
        (UTC, 48, 48),
        (UTC, 47, 24),
        # At 7 it may have begun, at 8 it has; what went from 7 on may be of the new day.
        (PACIFIC, 48 + 7, 24 + 7),
        (PACIFIC, 48 + 8, 48 + 7),
        (PACIFIC, 48 + 23, 48 + 7),
    ],
)
def test_from_which_hour_on_use_counts(begins, hour, first):
    assert first_counted(begins, hour) == first


@pytest.mark.parametrize(
    ("host", "begins"),
    [("openrouter.ai", UTC), ("generativelanguage.googleapis.com", PACIFIC), ("api.openai.com", None)],
)
def test_when_a_day_begins_at_a_host(host, begins):
    assert with_known_day(DayUse(begins=UTC), host).begins == begins


@pytest.mark.parametrize(
    ("used", "tokens", "limits", "room"),
    [
        ((9, 0), 5, DayLimits(10), True),
        ((10, 0), 5, DayLimits(10), False),
        ((9, 995), 5, DayLimits(10, 1000), True),
        ((9, 996), 5, DayLimits(10, 1000), False),
        ((10**9, 10**9), 5, DayLimits(), True),
        # Else it would wait for ever.
        ((0, 0), 5000, DayLimits(10, 1000), True),
        ((1, 1), 5000, DayLimits(10, 1000), False),
        ((0, 0), 1, DayLimits(0.5), True),
    ],
)
def test_whether_a_request_may_still_go_today(used, tokens, limits, room):
    assert has_room(HourUse(0, *used), tokens, limits) is room


@pytest.mark.parametrize(
    ("begins", "hour"),
    [(None, 100 + 25), (UTC, 120), (DayBegins(earliest=7, latest=8), 104)],
)
def test_the_next_request_goes_when_the_day_of_the_others_is_over(begins, hour):
    use = DayUse(hours=(HourUse(100, 10, 0),), begins=begins)
    assert hour_with_room(use, 1, DayLimits(10), 100) == hour


def test_the_last_24_hours_make_room_one_after_the_other():
    use = DayUse(hours=tuple(HourUse(100 + each, 5, 0) for each in range(4)))
    assert hour_with_room(use, 1, DayLimits(20), 104) == 125
    assert hour_with_room(use, 1, DayLimits(21), 104) == 104
    assert hour_with_room(use, 1, DayLimits(1), 104) == 128


HOURS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 50)), max_size=20, unique_by=lambda each: each[0])


@given(hours=HOURS, limit=st.integers(1, 60), begins=st.sampled_from([None, UTC, PACIFIC]))
def test_in_the_hour_that_is_named_there_is_room_and_in_none_before(hours, limit, begins):
    use = DayUse(hours=tuple(HourUse(hour, count, 0) for hour, count in sorted(hours)), begins=begins)
    found = hour_with_room(use, 1, DayLimits(limit), 60)
    for hour in range(60, found + 1):
        room = has_room(total(counted(use.hours, begins, hour)), 1, DayLimits(limit))
        assert room is (hour == found)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ((), (HourUse(7, 2, 30),)),
        ((HourUse(7, 1, 5),), (HourUse(7, 3, 35),)),
        ((HourUse(6, 1, 5), HourUse(9, 1, 1)), (HourUse(6, 1, 5), HourUse(7, 2, 30), HourUse(9, 1, 1))),
    ],
)
def test_use_is_added_to_its_hour(hours: tuple[HourUse, ...], expected: tuple[HourUse, ...]) -> None:
    assert with_use(DayUse(hours=hours), HourUse(7, 2, 30)).hours == expected
