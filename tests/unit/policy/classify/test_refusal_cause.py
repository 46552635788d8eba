import pytest

from batcher.domain.outcomes import Failure
from batcher.domain.states import FailureKind, RefusedFor
from batcher.policy.classify.refusal_cause import refused_for


def refusal(message: str, *, code: str = "rate_limit_exceeded", daily: bool = False) -> Failure:
    return Failure(kind=FailureKind.RATE_LIMITED, code=code, message=message, daily=daily)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "Rate limit reached for gpt-4o in organization o on requests per min (RPM): Limit 3.",
            RefusedFor.REQUESTS,
        ),
        ("Rate limit reached for gpt-4o in organization o on tokens per min (TPM): Limit 3.", RefusedFor.TOKENS),
        ("This request would exceed your limit of 40,000 input tokens per minute.", RefusedFor.TOKENS),
        ("Too many concurrent requests", RefusedFor.IN_FLIGHT),
        ("server busy, please try again. maximum pending requests exceeded", RefusedFor.IN_FLIGHT),
        ("Too many requests", RefusedFor.UNSAID),
        ("requests per minute or tokens per minute exceeded", RefusedFor.UNSAID),
        ("", RefusedFor.UNSAID),
    ],
)
def test_a_refusal_says_what_there_was_too_much_of(message, why):
    assert refused_for(refusal(message), again=False) is why


def test_a_daily_limit_is_one_whatever_the_words():
    assert refused_for(refusal("on requests per day", daily=True), again=True) is RefusedFor.DAY


@pytest.mark.parametrize(
    ("message", "why"),
    [("requests per min", RefusedFor.AGAIN), ("", RefusedFor.AGAIN), ("tokens per min", RefusedFor.TOKENS)],
)
def test_the_same_request_refused_again_says_nothing_about_a_rate(message, why):
    assert refused_for(refusal(message), again=True) is why
