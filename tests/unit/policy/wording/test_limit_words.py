"""Sentences about a limit, as gateways and providers write them, and sentences that only contain the words."""

import pytest

from batcher.policy.wording.limit_words import says_busy, says_rate_limited


@pytest.mark.parametrize(
    "text",
    [
        # Azure API Management; GitHub; Google; Kong; AWS and Bedrock.
        "Out of call volume quota. Quota will be replenished in 02:10:05.",
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        "Quota exceeded for quota metric 'Generate requests' and limit 'per minute' of service 'x'",
        "API rate limit exceeded",
        "rateLimitExceeded",
        "ThrottlingException: Too many tokens, please wait before trying again.",
        "Your request rate is too high. Reduce the frequency of requests.",
        "Rate exceeded",
        # Cloudflare; Apigee; Baidu; ChatGPT; LiteLLM; Copilot.
        "Error 1015: You are being rate limited",
        "Spike arrest violation. Allowed rate : MessageRate{messagesPerPeriod=10}",
        "Open api qps request limit reached",
        "Too many requests in 1 hour. Try again later.",
        "litellm.RateLimitError: RateLimitError: x",
        "upstream_provider_rate_limit exceeded",
        "请求过于频繁",
    ],
)
def test_a_rate_that_was_exceeded(text: str) -> None:
    assert says_rate_limited(text)


@pytest.mark.parametrize(
    "text",
    [
        "Unknown parameter: rate_limit",
        "The key may not change rate limits",
        "You exceeded your current quota, please check your plan and billing details.",
        "This model does not support too many tokens",
        "prompt is too long: 200001 tokens > 200000 maximum",
        "generate: moderate",
        "",
    ],
)
def test_no_rate_that_was_exceeded(text: str) -> None:
    assert not says_rate_limited(text)


def test_what_begins_later_than_within_does_not_count() -> None:
    assert says_rate_limited("x" * 70 + " too many requests", within=80)
    assert not says_rate_limited("x" * 90 + " too many requests", within=80)


@pytest.mark.parametrize("text", ["Overloaded", "overloaded_error", "当前分组上游负载已饱和", "at capacity"])
def test_no_capacity(text: str) -> None:
    assert says_busy(text)
    assert not says_busy("Service unavailable")
