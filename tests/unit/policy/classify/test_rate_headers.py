"""What reply headers say about a lane's limits, provider by provider."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.domain.lanes import RateHints
from batcher.policy.classify.retry_after import rate_hints

OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30,000",
    "x-ratelimit-remaining-tokens": "29,984",
    "x-ratelimit-reset-tokens": "32ms",
}
GROQ = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-limit-tokens": "18000",
    "x-ratelimit-remaining-tokens": "17997",
    "x-ratelimit-reset-tokens": "7.66s",
}
AZURE = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "59",
    "x-ratelimit-limit-tokens": "10000",
    "x-ratelimit-remaining-tokens": "9000",
    "x-ratelimit-reset-tokens": "12",
}
ANTHROPIC = {
    "date": "Sun, 22 Nov 2026 12:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "1000",
    "anthropic-ratelimit-requests-remaining": "999",
    "anthropic-ratelimit-requests-reset": "2026-11-22T12:00:01Z",
    "anthropic-ratelimit-tokens-limit": "90000",
    "anthropic-ratelimit-tokens-remaining": "88000",
    "anthropic-ratelimit-tokens-reset": "2026-11-22T12:00:02Z",
    "anthropic-ratelimit-input-tokens-limit": "80000",
    "anthropic-ratelimit-output-tokens-limit": "16000",
}
MISTRAL = {
    "x-ratelimit-limit-req-minute": "60",
    "x-ratelimit-remaining-req-minute": "58",
    "x-ratelimit-limit-tokens-minute": "500000",
    "x-ratelimit-remaining-tokens-minute": "499000",
    "x-ratelimit-tokens-query-cost": "32",
}
CEREBRAS = {
    "x-ratelimit-limit-requests-minute": "30",
    "x-ratelimit-remaining-requests-minute": "29",
    "x-ratelimit-reset-requests-minute": "17.25",
    "x-ratelimit-limit-requests-hour": "900",
    "x-ratelimit-limit-requests-day": "14400",
    "x-ratelimit-remaining-requests-day": "14399",
    "x-ratelimit-limit-tokens-minute": "60000",
    "x-ratelimit-remaining-tokens-minute": "59000",
    "x-ratelimit-reset-tokens-minute": "17.25",
}
OPENAI_HINTS = RateHints(
    rpm=500,
    remaining_requests=499,
    reset_requests=0.12,
    tpm=30_000,
    remaining_tokens=29_984,
    reset_tokens=0.032,
)
GROQ_HINTS = RateHints(
    rpd=14_400, remaining_requests_day=14_370, tpm=18_000, remaining_tokens=17_997, reset_tokens=7.66
)


@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("api.openai.com", OPENAI, OPENAI_HINTS),
        ("api.groq.com", GROQ, GROQ_HINTS),
        ("proxy.example.org", GROQ, GROQ_HINTS),
        ("api.groq.com", {"x-ratelimit-limit-requests": "14400"}, RateHints(rpd=14_400)),
        (
            "x.openai.azure.com",
            AZURE,
            RateHints(rpm=60, remaining_requests=59, tpm=10_000, remaining_tokens=9_000, reset_tokens=12),
        ),
        (
            "api.anthropic.com",
            ANTHROPIC,
            RateHints(
                rpm=1000,
                remaining_requests=999,
                reset_requests=1,
                tpm=90_000,
                remaining_tokens=88_000,
                reset_tokens=2,
                input_tpm=80_000,
                output_tpm=16_000,
            ),
        ),
        (
            "api.mistral.ai",
            MISTRAL,
            RateHints(rpm=60, remaining_requests=58, tpm=500_000, remaining_tokens=499_000),
        ),
        (
            "api.cerebras.ai",
            CEREBRAS,
            RateHints(
                rpm=30,
                remaining_requests=29,
                reset_requests=17.25,
                tpm=60_000,
                remaining_tokens=59_000,
                reset_tokens=17.25,
                rpd=14_400,
                remaining_requests_day=14_399,
            ),
        ),
        ("localhost", {"content-type": "application/json", "x-request-id": "1"}, RateHints()),
    ],
)
def test_each_providers_headers_are_read(host, headers, expected):
    assert rate_hints(headers, host=host) == expected


@pytest.mark.parametrize("unknown", ["-1", "0", "", "unlimited", "nan", "1e9", "²", "9" * 40])
def test_a_limit_that_is_said_as_unknown_takes_its_whole_dimension_with_it(unknown):
    hints = rate_hints({**OPENAI, "x-ratelimit-limit-requests": unknown}, host="api.openai.com")
    assert (hints.rpm, hints.remaining_requests, hints.reset_requests) == (None, None, None)
    assert hints.tpm == 30_000


def test_nothing_left_is_not_unknown():
    hints = rate_hints({**OPENAI, "x-ratelimit-remaining-tokens": "0"}, host="api.openai.com")
    assert hints.remaining_tokens == 0
    assert rate_hints({**OPENAI, "x-ratelimit-remaining-tokens": "-1"}, host="").remaining_tokens is None


def test_a_lower_limit_of_the_project_wins():
    project = {
        "x-ratelimit-limit-project-tokens": "10000",
        "x-ratelimit-remaining-project-tokens": "9000",
        "x-ratelimit-reset-project-tokens": "6s",
    }
    hints = rate_hints({**OPENAI, **project}, host="api.openai.com")
    assert (hints.tpm, hints.remaining_tokens, hints.reset_tokens) == (10_000, 9_000, 6)
    wider = {**OPENAI, **project, "x-ratelimit-limit-project-tokens": "90000"}
    assert rate_hints(wider, host="api.openai.com").tpm == 30_000


def test_a_window_that_resets_at_full_minutes_is_a_limit_a_minute():
    hints = rate_hints({**OPENAI, "x-ratelimit-reset-requests": "59s"}, host="")
    assert (hints.rpm, hints.rpd) == (500, None)


def test_a_limit_of_tokens_a_day_is_no_limit_a_minute():
    assert rate_hints({**OPENAI, "x-ratelimit-reset-tokens": "4m12.172s"}, host="").tpm is None


@pytest.mark.parametrize("reset", ["soon", "", "1d2h", "1763812800"])
def test_a_reset_that_cannot_be_read_is_unknown_and_the_limit_stays(reset):
    hints = rate_hints({**OPENAI, "x-ratelimit-reset-requests": reset}, host="")
    assert (hints.rpm, hints.reset_requests) == (500, None)


@pytest.mark.parametrize(
    ("date", "reset", "seconds"),
    [
        (None, "2026-11-22T12:00:01Z", None),
        ("yesterday", "2026-11-22T12:00:01Z", None),
        ("Sun, 22 Nov 2026 12:00:00 -0000", "2026-11-22T12:00:01Z", 1),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "2026-11-22T13:00:03+01:00", 3),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "2026-11-22T11:00:00Z", 0),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "later", None),
    ],
)
def test_anthropics_resets_are_measured_from_the_servers_own_date(date, reset, seconds):
    headers = {"anthropic-ratelimit-requests-limit": "10", "anthropic-ratelimit-requests-reset": reset}
    hints = rate_hints({**headers, **({"date": date} if date else {})}, host="api.anthropic.com")
    assert (hints.rpm, hints.reset_requests) == (10, seconds)


@pytest.mark.parametrize("text", ["1.²", "²", "1.٣", "٣", "1.5.2", "."])
def test_a_limit_in_other_digits_than_ascii_is_unknown(text):
    assert rate_hints({"x-ratelimit-limit-requests": text}, host="") == RateHints()


NAMES = sorted({*OPENAI, *ANTHROPIC, *MISTRAL, *CEREBRAS})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12) | st.integers().map(str), max_size=8))
def test_no_header_makes_the_reading_raise_and_every_limit_is_positive(headers):
    hints = rate_hints(headers, host="")
    for limit in (hints.rpm, hints.tpm, hints.rpd, hints.input_tpm, hints.output_tpm):
        assert limit is None or limit > 0
    for left in (hints.remaining_requests, hints.remaining_tokens, hints.reset_requests, hints.reset_tokens):
        assert left is None or left >= 0
