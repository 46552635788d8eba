import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.lanes import Charging, LaneMemory, RateHints
from batcher.domain.outcomes import Usage
from batcher.domain.states import ChargeRule
from batcher.policy.rate.charging import (
    LEAST_SCALE,
    MOST_SCALE,
    Fullness,
    Need,
    allowed_deficit,
    charged,
    limited_input,
    moved_scale,
    reserved,
    returned,
    surprise,
    useful_scale,
    with_known_rule,
)

NEED = Need(20.0, 50.0, 8.0)


@pytest.mark.parametrize(
    ("rule", "at_the_provider", "taken"),
    [(ChargeRule.SUM, 70, 140), (ChargeRule.MAX, 50, 100), (ChargeRule.PRODUCED, 20, 48)],
)
def test_the_rule_says_what_is_charged_and_what_is_taken(rule, at_the_provider, taken):
    assert charged(rule, NEED.prompt, NEED.most) == at_the_provider
    assert reserved(rule, NEED, 2.0) == taken


@pytest.mark.parametrize(
    ("rule", "usage", "back"),
    [
        (ChargeRule.SUM, Usage(input_tokens=1, output_tokens=1), 0),
        (ChargeRule.MAX, Usage(input_tokens=1, output_tokens=1), 0),
        (ChargeRule.PRODUCED, Usage(input_tokens=1, output_tokens=3), 5),
        (ChargeRule.PRODUCED, Usage(output_tokens=10), -2),
        (ChargeRule.PRODUCED, Usage(input_tokens=1), 0),
        (ChargeRule.PRODUCED, None, 0),
    ],
)
def test_only_produced_is_corrected_by_the_output(rule, usage, back):
    assert returned(rule, NEED, usage) == back


@pytest.mark.parametrize(
    ("host", "learned", "rule"),
    [
        ("api.openai.com", None, ChargeRule.MAX),
        ("x.openai.azure.com", None, ChargeRule.SUM),
        ("api.anthropic.com", None, ChargeRule.PRODUCED),
        ("api.anthropic.com", ChargeRule.SUM, ChargeRule.SUM),
        ("127.0.0.1", None, None),
        ("api.openai.com.example.org", None, None),
    ],
)
def test_a_provider_is_taken_at_its_word_until_something_is_learned(host, learned, rule):
    memory = LaneMemory(charging=Charging(rule=learned))
    assert with_known_rule(memory, host).charging.rule is rule


@pytest.mark.parametrize(
    ("host", "model", "counts"),
    [
        ("api.anthropic.com", "claude-sonnet-4-5", False),
        ("api.anthropic.com", "claude-3-5-haiku-20241022", True),
        ("api.openai.com", "gpt-4o-mini", True),
        ("127.0.0.1", "claude-sonnet-4-5", True),
    ],
)
def test_cached_input_counts_unless_the_provider_says_otherwise(host, model, counts):
    assert with_known_rule(LaneMemory(), host, model).charging.counts_cached is counts


@pytest.mark.parametrize(
    ("usage", "counts_cached", "counted"),
    [
        (Usage(input_tokens=19, cached_input_tokens=12, cache_write_tokens=3), True, 19),
        (Usage(input_tokens=19, cached_input_tokens=12, cache_write_tokens=3), False, 7),
        (Usage(input_tokens=19), False, 19),
        (Usage(), False, None),
    ],
)
def test_what_the_provider_serves_from_its_cache_is_left_out_where_it_does_not_count(
    usage, counts_cached, counted
):
    assert limited_input(usage, counts_cached=counts_cached) == counted


@pytest.mark.parametrize(
    ("hints", "deficit"),
    [
        # remaining of the whole minute's limit
        (RateHints(tpm=300_000, remaining_tokens=298_600, reset_tokens=0.28), 1_400),
        (RateHints(tpm=300_000, remaining_tokens=300_000, reset_tokens=0.0), 0),
        # remaining of the bucket's own level: what is full follows from the reset
        (RateHints(tpm=300_000, remaining_tokens=3_600, reset_tokens=0.28), 1_400),
        # below 1,000 a second the reset is finer
        (RateHints(tpm=6_000, remaining_tokens=5_986, reset_tokens=0.145), 14.5),
        # whole seconds may be rounded
        (RateHints(tpm=6_000, remaining_tokens=5_986, reset_tokens=1.0), 14),
        (RateHints(tpm=6_000, remaining_tokens=5_986), 14),
        (RateHints(tpm=6_000), None),
        (RateHints(remaining_tokens=9), None),
    ],
)
def test_headers_say_what_the_bucket_lacks(hints, deficit):
    found = Fullness().seen(hints).deficit(hints)
    assert found == (None if deficit is None else pytest.approx(deficit))


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=50))
def test_a_scale_never_leaves_its_bounds(readings):
    scale = 1.0
    for lost, cost in readings:
        scale = moved_scale(scale, lost=lost, charged=cost)
        assert LEAST_SCALE <= scale <= MOST_SCALE


@pytest.mark.parametrize(("scale", "used"), [(0.99, 1.0), (1.039, 1.0), (1.05, 1.05), (0.9, 0.9)])
def test_a_scale_that_hardly_differs_is_noise(scale, used):
    assert useful_scale(scale) == used


def test_a_request_near_the_whole_burst_goes_only_when_the_bucket_has_been_full():
    assert allowed_deficit(1000, 5000, 5000) == 1500
    assert allowed_deficit(3000, 5000, 5000) == 500
    assert allowed_deficit(4000, 5000, 5000) == pytest.approx(-75)


def test_one_wild_reading_weighs_no_more_than_five_spreads():
    assert surprise(50, 5000) == pytest.approx(4)
    assert surprise(1e9, 5000) == 25
