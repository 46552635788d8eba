"""The strict limiter: admissions, rejections, and what the headers say about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.lanes import Charge
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule
from batcher.simulate.buckets import Admitted, Bucket, Limiter, Rejected, go_duration, upfront


def limiter(
    *, rpm: float | None = None, tpm: float | None = None, burst: float = 1.0, rule: ChargeRule = ChargeRule.SUM
) -> Limiter:
    return Limiter(Limits(rpm=rpm, tpm=tpm), burst=burst, rule=rule)


def cost(tokens: int) -> Charge:
    return Charge(input_tokens=tokens, output_tokens=0)


def rejected(admission: object) -> Rejected:
    assert isinstance(admission, Rejected)
    return admission


def test_an_idle_lane_has_one_second_of_budget_and_no_more() -> None:
    lane = limiter(rpm=600)
    admissions = [lane.admit(1000.0, cost(1)) for _ in range(11)]
    assert [isinstance(one, Admitted) for one in admissions] == [True] * 10 + [False]


def test_budget_comes_back_continuously_and_not_at_minute_marks() -> None:
    lane = limiter(rpm=600)
    for _ in range(10):
        lane.admit(0.0, cost(1))
    assert isinstance(lane.admit(0.099, cost(1)), Rejected)
    assert isinstance(lane.admit(0.1, cost(1)), Admitted)


def test_a_refusal_charges_nothing() -> None:
    lane = limiter(rpm=60, tpm=6000)
    lane.admit(0.0, cost(10))
    before = lane.headers(0.5)
    assert isinstance(lane.admit(0.5, cost(10)), Rejected)
    assert lane.headers(0.5) == before


def test_a_refusal_by_one_dimension_leaves_the_other_untouched() -> None:
    lane = limiter(rpm=6000, tpm=600)
    lane.admit(0.0, cost(10))
    assert rejected(lane.admit(0.0, cost(10))).dimension == "tokens"
    assert lane.headers(0.0)["x-ratelimit-remaining-requests"] == "5999"


@pytest.mark.parametrize(
    ("rpm", "tpm", "dimension", "wait"),
    [(60, 6000, "requests", 1.0), (600, 600, "tokens", 1.0), (60, 6, "tokens", 100.0), (6, 600, "requests", 10.0)],
)
def test_a_refusal_names_the_dimension_that_waits_longest(rpm: int, tpm: int, dimension: str, wait: float) -> None:
    lane = limiter(rpm=rpm, tpm=tpm)
    lane.admit(0.0, cost(min(10, tpm)))
    refusal = rejected(lane.admit(0.0, cost(min(10, tpm))))
    assert refusal.dimension == dimension
    assert refusal.retry_after_s == pytest.approx(wait, rel=0.5)


def test_a_request_above_the_bucket_needs_it_full_and_drives_it_into_debt() -> None:
    lane = limiter(tpm=6000)
    assert isinstance(lane.admit(0.0, cost(1)), Admitted)
    assert rejected(lane.admit(0.0, cost(300))).retry_after_s == pytest.approx(0.01)
    assert isinstance(lane.admit(0.01, cost(300)), Admitted)
    assert rejected(lane.admit(0.01, cost(100))).retry_after_s == pytest.approx(3.0)
    assert lane.headers(0.01)["x-ratelimit-reset-tokens"] == "3s"


def test_a_request_above_the_limit_of_a_minute_never_fits() -> None:
    never = rejected(limiter(tpm=600).admit(0.0, cost(601)))
    assert never.retry_after_s is None
    assert (never.limit, never.requested) == (600, 601)


def test_one_request_every_two_minutes_is_a_limit_like_any_other() -> None:
    lane = limiter(rpm=0.5)
    assert isinstance(lane.admit(0.0, cost(1)), Admitted)
    assert rejected(lane.admit(0.0, cost(1))).retry_after_s == pytest.approx(120)


def test_used_and_requested_of_a_refusal_exceed_the_limit() -> None:
    lane = limiter(tpm=6000)
    lane.admit(0.0, cost(70))
    refusal = rejected(lane.admit(0.0, cost(40)))
    assert (refusal.limit, refusal.used, refusal.requested) == (6000, 5970, 40)


def test_no_limit_lets_everything_in_and_has_no_headers() -> None:
    lane = limiter()
    assert isinstance(lane.admit(0.0, cost(10**9)), Admitted)
    assert lane.headers(0.0) == {}


def test_headers_give_the_minute_less_the_deficit_after_the_charge() -> None:
    lane = limiter(rpm=5000, tpm=150_000, rule=ChargeRule.MAX)
    lane.admit(0.0, Charge(input_tokens=9, output_tokens=16))
    assert lane.headers(0.0) == {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "7ms",
    }


@pytest.mark.parametrize(
    ("rule", "tokens"), [(ChargeRule.SUM, 130), (ChargeRule.MAX, 100), (ChargeRule.PRODUCED, 30)]
)
def test_each_charging_rule_takes_its_own_amount_at_admission(rule: ChargeRule, tokens: int) -> None:
    assert upfront(rule, Charge(input_tokens=30, output_tokens=100)) == tokens


@pytest.mark.parametrize(
    ("rule", "deficit"), [(ChargeRule.SUM, 40), (ChargeRule.MAX, 30), (ChargeRule.PRODUCED, 37)]
)
def test_only_under_produced_the_output_is_charged_when_it_is_there(rule: ChargeRule, deficit: int) -> None:
    lane = limiter(tpm=60_000, rule=rule)
    lane.admit(0.0, Charge(input_tokens=30, output_tokens=10))
    lane.produced(0.0, 7)
    assert lane.headers(0.0)["x-ratelimit-remaining-tokens"] == str(60_000 - deficit)


def test_a_clock_that_is_read_late_gives_no_budget_twice() -> None:
    bucket = Bucket(limit=60, burst=10)
    bucket.take(10.0, 10)
    assert bucket.level(5.0) == 0
    assert bucket.level(11.0) == pytest.approx(1)


gaps = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 400)), min_size=1, max_size=60)


@given(gaps=gaps, tpm=st.integers(400, 60_000), burst=st.floats(0.1, 10))
def test_no_window_holds_more_than_its_share_the_burst_and_one_large_request(
    gaps: list[tuple[float, int]], tpm: int, burst: float
) -> None:
    lane = limiter(tpm=tpm, burst=burst)
    now, admitted = 0.0, []
    for gap, tokens in gaps:
        now += gap
        if isinstance(lane.admit(now, cost(tokens)), Admitted):
            admitted.append((now, tokens))
    for index, (start, _) in enumerate(admitted):
        total, largest = 0, 0
        for at, tokens in admitted[index:]:
            total, largest = total + tokens, max(largest, tokens)
            assert total <= tpm / 60 * (at - start + burst) + largest + 1e-6


@given(gaps=gaps, tpm=st.integers(400, 60_000), rpm=st.integers(1, 600))
def test_a_retry_after_the_stated_wait_is_admitted(gaps: list[tuple[float, int]], tpm: int, rpm: int) -> None:
    lane = limiter(tpm=tpm, rpm=rpm)
    now = 0.0
    for gap, tokens in gaps:
        now += gap
        admission = lane.admit(now, cost(tokens))
        if isinstance(admission, Rejected):
            assert admission.retry_after_s is not None
            now += admission.retry_after_s
            assert isinstance(lane.admit(now, cost(tokens)), Admitted)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.012, "12ms"),
        (0.0101, "11ms"),
        (1, "1s"),
        (1.2, "1.2s"),
        (7.66, "7.66s"),
        (360, "6m0s"),
        (252.172, "4m12.172s"),
        (119.56, "1m59.56s"),
        (59.9996, "1m0s"),
        (83_909.144, "23h18m29.144s"),
        (-1, "0s"),
    ],
)
def test_durations_are_spelled_as_go_spells_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
