import pytest

from batcher.domain.states import RefusalCause
from batcher.policy.classify.refusal_cause import refusal_cause, seen_again


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            "Rate limit reached for gpt-4o in organization o on requests per min (RPM): Limit 3.",
            RefusalCause.REQUESTS,
        ),
        ("Rate limit reached for gpt-4o in organization o on tokens per min (TPM): Limit 3.", RefusalCause.TOKENS),
        ("This request would exceed your limit of 40,000 input tokens per minute.", RefusalCause.TOKENS),
        ("Too many concurrent requests", RefusalCause.IN_FLIGHT),
        ("server busy, please try again. maximum pending requests exceeded", RefusalCause.IN_FLIGHT),
        (
            "Rate limit exceeded for api_key: 8090. Limit type: max_parallel_requests. Current limit: 1",
            RefusalCause.IN_FLIGHT,
        ),
        ("too_many_concurrent_requests", RefusalCause.IN_FLIGHT),
        ("TooManyConcurrentRequests", RefusalCause.IN_FLIGHT),
        ("maxInFlight reached", RefusalCause.IN_FLIGHT),
        ("rate_limit_tokens_per_minute", RefusalCause.TOKENS),
        ("TokensPerMinute exceeded", RefusalCause.TOKENS),
        ("Limit type: tokens. Current limit: 100", RefusalCause.TOKENS),
        ("Limit type: requests. Current limit: 100", RefusalCause.REQUESTS),
        ("requests-per-minute", RefusalCause.REQUESTS),
        ("Too many requests", RefusalCause.UNSAID),
        ("requests per minute or tokens per minute exceeded", RefusalCause.UNSAID),
        ("", RefusalCause.UNSAID),
    ],
)
def test_a_refusal_says_what_there_was_too_much_of(message, why):
    assert refusal_cause("rate_limit_exceeded", message) is why


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("too_many_concurrent_requests", RefusalCause.IN_FLIGHT),
        ("rate_limit_tokens_per_minute", RefusalCause.TOKENS),
        ("RequestsPerMinute", RefusalCause.REQUESTS),
        ("rate_limit_exceeded", RefusalCause.UNSAID),
    ],
)
def test_the_code_says_it_too(code, why):
    assert refusal_cause(code, "No.") is why


@pytest.mark.parametrize(
    ("message", "why"),
    [("requests per min", RefusalCause.AGAIN), ("", RefusalCause.AGAIN), ("tokens per min", RefusalCause.TOKENS)],
)
def test_the_same_request_refused_again_says_nothing_about_a_rate(message, why):
    assert seen_again(refusal_cause("rate_limit_exceeded", message)) is why
