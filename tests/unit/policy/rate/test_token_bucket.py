import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.rate.token_bucket import (
    FULL_MARGIN,
    LEAST_MARGIN,
    MARGIN,
    Balance,
    Level,
    acquired,
    cut_margin,
    eased,
    extra_cost,
    grown,
    in_force,
    initial_balance,
    is_same_limit,
    lengthened,
    own_wait_s,
    part_to_take,
    passed,
    places,
    requests_pace,
    restarted,
    seconds_to_room,
    take,
    tokens_pace,
    without_room,
)


@pytest.mark.parametrize(
    ("rpm", "rate", "bucket"),
    [
        (6000, 99.5, 49.75),
        (1200, 19.9, 9.95),
        (300, 4.975, 2.4875),
        (120, 1.99, 1.0),
        (90, 1 / (60 / 90 + 0.005), 1.0),
        (60, 1 / 1.010, 1.0),
        (30, 0.995 / 2, 1.0),
        (1, 0.995 / 60, 1.0),
        (0.5, 0.995 / 120, 1.0),
    ],
)
def test_requests_go_in_bursts_of_half_a_second_or_one_by_one_a_little_apart(rpm, rate, bucket):
    pace = requests_pace(rpm)
    assert [pace.rate, pace.bucket] == pytest.approx([rate, bucket])


@pytest.mark.parametrize(("tpm", "rate", "bucket"), [(300_000, 4975, 2487.5), (100, 1.6583, 1.0)])
def test_tokens_go_in_bursts_of_half_a_second(tpm, rate, bucket):
    pace = tokens_pace(tpm)
    assert [pace.rate, pace.bucket] == pytest.approx([rate, bucket], rel=1e-4)


LIMITS = st.floats(0.1, 1e9)


@given(limit=LIMITS, make=st.sampled_from([requests_pace, tokens_pace]))
def test_a_pace_uses_at_least_99_percent_of_its_limit_and_never_all_of_it(limit, make):
    pace = make(limit)
    assert 0.99 * limit / 60 * (1 - 1e-9) <= pace.rate < limit / 60
    assert 0 < pace.part <= pace.bucket


@given(
    limit=LIMITS,
    steps=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5), st.floats(-3, 1)), max_size=30),
)
def test_what_is_taken_fits_the_bucket_and_what_is_unspent_is_part_of_it(limit, steps):
    """Amounts are in buckets; a negative one comes back."""
    pace = tokens_pace(limit)
    balance = initial_balance(pace)
    for seconds, amount, back in steps:
        balance = passed(balance, seconds, pace)
        while (part := part_to_take(balance, amount * pace.bucket, pace)) > 0:
            if balance.taken + part <= pace.bucket * (1 + 1e-12):
                balance = acquired(balance, part)
            else:
                balance = passed(balance, seconds_to_room(balance, part, pace), pace)
            assert 0 <= balance.taken <= pace.bucket * (1 + 1e-9)
        balance = take(take(balance, amount * pace.bucket), back * pace.bucket)
        assert balance.owed >= -balance.taken


@given(limit=LIMITS, taken=st.floats(0, 1), owed=st.floats(-1, 9), one=st.floats(0, 9), two=st.floats(0, 9))
def test_time_in_two_steps_is_time_in_one(limit, taken, owed, one, two):
    pace = tokens_pace(limit)
    start = Balance(taken * pace.bucket, max(owed, -taken) * pace.bucket)
    stepped, straight = passed(passed(start, one, pace), two, pace), passed(start, one + two, pace)
    assert stepped.taken == pytest.approx(straight.taken, abs=1e-6 * pace.bucket)
    assert stepped.owed == pytest.approx(straight.owed, abs=1e-6 * pace.bucket)


@given(limit=LIMITS, taken=st.floats(0, 1), share=st.floats(1e-9, 1))
def test_a_limiter_without_room_is_believed(limit, taken, share):
    pace = tokens_pace(limit)
    part = share * pace.part
    balance = without_room(Balance(taken * pace.bucket, -taken * pace.bucket), part, pace)
    assert pace.bucket * (1 + 1e-9) >= balance.taken >= taken * pace.bucket
    assert balance.taken + part > pace.bucket
    assert balance.owed == -taken * pace.bucket


PACE = tokens_pace(60_000)


@pytest.mark.parametrize(
    ("owed", "amount", "expected"),
    [
        (0, 100, 100),
        (-100, 100, 0),
        (-40, 100, 60),
        (30, 10, 40),
        (30, 100, 130),
        (-400, 100, 0),
        (0, 400, PACE.part),
        (1e6, 0, PACE.part),
        (0, 1e6, PACE.part),
        (-PACE.bucket, 1e6, 0),
        (1e-12, 0, 0),
    ],
)
def test_all_debt_comes_before_the_request_and_one_bucketful_lets_it_go(owed, amount, expected):
    assert part_to_take(Balance(400, owed), amount, PACE) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("taken", "owed", "amount", "expected"),
    [
        (0, 0, 1, PACE.ahead),
        (0, -1, 1, 0),
        (0, 0, PACE.ahead, PACE.ahead),
        (0, 0, PACE.ahead + 1, PACE.ahead + 1),
        (PACE.bucket - 2 * PACE.ahead, 0, 1, PACE.ahead),
        (PACE.bucket - 1.9 * PACE.ahead, 0, 1, 1),
    ],
)
def test_with_plenty_of_room_several_requests_are_taken_for_at_once(taken, owed, amount, expected):
    assert part_to_take(Balance(taken, owed), amount, PACE) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given_", "announced", "kept"),
    [(None, None, None), (5, None, 5), (None, 5, 5), (5, 9, 5), (9, 5, 5)],
)
def test_a_given_limit_is_a_ceiling(given_, announced, kept):
    assert in_force(given_, announced) == kept


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, None, True),
        (None, 5, False),
        (5, None, False),
        (600, 600, True),
        (600, 602, True),
        (600, 610, False),
    ],
)
def test_limits_that_differ_by_less_than_the_margin_are_the_same(one, other, same):
    assert is_same_limit(one, other) is same


@pytest.mark.parametrize(("level", "most", "expected"), [(8.0, 64, 8), (9.9, 64, 9), (70.0, 64, 64), (1.0, 1, 1)])
def test_places_are_whole_and_capped(level, most, expected):
    assert places(level, most) == expected


@pytest.mark.parametrize(
    ("level", "paced", "limit"),
    [
        (Level(8.0), False, 9.0),
        (Level(8.0, 20.0), False, 9.0),
        (Level(20.0, 20.0), False, 20.05),
        (Level(20.0, 20.0), True, 20.125),
        (Level(63.5), False, 64.0),
    ],
)
def test_growth_is_one_a_success_below_the_target_and_gentle_above(level, paced, limit):
    after = grown(level, 64, paced=paced)
    assert after.limit == pytest.approx(limit)
    assert after.target == level.target


@pytest.mark.parametrize(
    ("level", "cut", "expected"),
    [
        (Level(40.0), False, Level(10.0, 40.0)),
        (Level(40.0), True, Level(5.0, 20.0)),
        (Level(10.0, 40.0), False, Level(10.0, 40.0)),
        (Level(30.0, 40.0), True, Level(3.75, 15.0)),
        (Level(44.0, 40.0), False, Level(11.0, 44.0)),
        (Level(1.0), True, Level(1.0, 1.0)),
    ],
)
def test_a_refusal_restarts_from_a_quarter_of_the_level_or_of_its_half(level, cut, expected):
    assert restarted(level, cut=cut) == expected


def test_own_waits_double_up_to_a_minute():
    assert [own_wait_s(refusals) for refusals in (0, 1, 5, 6, 7, 5000)] == [1, 2, 32, 60, 60, 60]


@given(wait_s=st.floats(0, 1e6), jitter=st.floats(0, 1))
def test_jitter_only_lengthens_and_little(wait_s, jitter):
    assert wait_s <= lengthened(wait_s, jitter) <= wait_s + max(0.01, min(0.25, 0.1 * wait_s)) + 1e-9


def test_a_margin_shrinks_once_a_second_and_recovers_with_time():
    cut = cut_margin(FULL_MARGIN, 100.0)
    assert extra_cost(cut, 100.0) == pytest.approx(1 / 0.985)
    assert cut_margin(cut, 100.9) is cut
    assert extra_cost(cut_margin(cut, 101.0), 101.0) == pytest.approx(1 / 0.985**2, rel=1e-3)
    assert extra_cost(cut, 150.0) == pytest.approx(1.0, abs=1e-3)
    assert extra_cost(FULL_MARGIN, 1e9) == 1.0


@given(st.lists(st.floats(0, 30), max_size=200))
def test_a_margin_never_leaves_its_bounds(pauses):
    margin, at = FULL_MARGIN, 0.0
    for pause in pauses:
        at += pause
        margin = cut_margin(margin, at)
        assert 1.0 <= extra_cost(margin, at) <= MARGIN / LEAST_MARGIN + 1e-9


@pytest.mark.parametrize(
    ("level", "in_flight", "limit"),
    [(Level(64.0), 20, 16.0), (Level(16.2, 16.0), 16, 12.8), (Level(8.0), 1, 1.0), (Level(1.0), 1, 1.0)],
)
def test_too_many_at_once_leave_four_fifths_of_what_was_in_flight(level, in_flight, limit):
    assert eased(level, in_flight) == Level(limit, limit)
