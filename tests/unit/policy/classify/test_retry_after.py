"""When a server says to come back: every spelling of docs/providers.md#retry-after, in the order of its end."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.classify.durations import moment_in_words, wait_in_words
from batcher.policy.classify.error_body import read_evidence
from batcher.policy.classify.retry_after import (
    LONGEST_WAIT_US,
    next_utc_hour_us,
    parse_duration,
    retry_after_us,
    stated_wait_us,
)
from tests.support.replies import HOST, NOON, google_error, openai_error, openrouter_error, reply

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("120ms", 0.12),
        ("4m12.172s", 252.172),
        ("7.66s", 7.66),
        ("23h18m29.144s", 83909.144),
        ("2m59.56s", 179.56),
        ("6h12m", 22320.0),
        ("1m12ms", 60.012),
        ("0s", 0.0),
        ("20", 20.0),
        ("17.25", 17.25),
        (" 1s ", 1.0),
        ("", None),
        ("1d2h", None),
        ("-1", None),
        ("-1s", None),
        ("nan", None),
        ("inf", None),
        ("1e3", None),
        ("1_000", None),
        ("٣s", None),
        ("30,000", None),
        ("soon", None),
        ("2026-11-22T12:00:00Z", None),
    ],
)
def test_a_duration_is_read_or_unknown_and_never_zero_by_mistake(text, seconds):
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 1.2s. Visit https://x to learn more.", 1.2),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 7m12s.", 432),
        ("Please try again in 6h12m", 22320),
        ("Please retry after 37 seconds.", 37),
        ("Please retry after 1 second", 1),
        ("Please retry in 39.5s", 39.5),
        ("Try again in 2 minutes 30 seconds", 150),
        ("try again in 1 day", 86400),
        ("Retry after 12", 12),
        ("retry after 500 milliseconds", 0.5),
        ("Please retry after 86400 seconds.", 86400),
        ("Please wait 30 seconds before trying again", 30),
        ("Wait for 5 minutes", 300),
        ("You must wait at least 10s", 10),
        ("Too many requests; wait 1m30s.", 90),
        ("try again after 2m", 120),
        ("retry_after: 30", 30),
        ("retryAfter=2.5s", 2.5),
        ("You have exhausted your capacity. Your quota will reset after 1h2m3s.", 3723),
        ("Limit reached, resets in 3 hours", 10800),
        ("Out of call volume quota. Quota will be replenished in 02:10:05.", 7805),
        ("Out of call volume quota. Quota will be replenished in 5.03:23:11", 444191),
        ("connection reset after 30 s", None),
        ("the quota resets in the night", None),
        ("Rate limited, retrying in 3 s", 3),
        ("the maximum wait 30 seconds was exceeded", None),
        ("waited 600 s for a free worker", None),
        ("please wait 3 times", None),
        ("Please wait a bit", None),
        ("please wait 20", None),
        ("retry after 3 attempts", None),
        ("try again in a while", None),
        ("retry after 2026-11-22", None),
        ("try again later", None),
        ("it took 20s", None),
    ],
)
def test_a_wait_in_words_is_read(message, seconds):
    found = wait_in_words(message)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "timestamp"),
    [
        ("Limit type: requests. Limit resets at: 2026-11-22 12:00:30 UTC", NOON / SECOND + 30),
        ("5-hour usage limit reached, resets at 2026-11-22T12:00:30Z (2056)", NOON / SECOND + 30),
        ("Try again at 2026-11-22T13:00:30.5+01:00.", NOON / SECOND + 30),
        ("resets at 2026-11-22 12:00:30", None),
        ("resets at 2026-99-22T12:00:30Z", None),
        ("created at 2026-11-22T12:00:30Z", None),
        ("resets at 7am", None),
    ],
)
def test_a_moment_in_words_is_read_if_it_has_a_time_zone(message, timestamp):
    assert moment_in_words(message) == timestamp


def _told(headers=None, body=b"", status=429):
    return retry_after_us(read_evidence(reply(status, body, headers)), NOON, host=HOST)


IN_WORDS = openai_error("rate_limit_exceeded", message="Please try again in 9s.")
GOOGLE = google_error(429, "RESOURCE_EXHAUSTED", {"retryDelay": "37s"}, message="Please retry in 9s")
OPENROUTER = openrouter_error(429, headers={"X-RateLimit-Reset": str(NOON // 1000 + 5_000)})
EXHAUSTED = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "3s",
}


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "2"}, IN_WORDS, 1.5),
        ({"retry-after": "2"}, IN_WORDS, 2),
        ({"retry-after": "0.5"}, GOOGLE, 0.5),
        ({"retry-after": formatdate(NOON / SECOND + 30, usegmt=True)}, b"", 30),
        ({"retry-after": formatdate(NOON / SECOND + 30)}, b"", 30),
        # Not as the standard says.
        ({"retry-after": "30s"}, IN_WORDS, 30),
        ({"retry-after": "30 seconds"}, b"", 30),
        ({"retry-after": "1 min 5 s"}, b"", 65),
        ({"retry-after": "00:00:30"}, b"", 30),
        ({"retry-after": "60, 60"}, b"", 60),
        ({"retry-after": "60, 30"}, b"", None),
        ({"retry-after": str(NOON // SECOND + 30)}, b"", 30),
        ({"retry-after": "2026-11-22T13:00:30+01:00"}, b"", 30),
        ({"retry-after": "Sun, 22 Nov 2026 13:00:30 +0100"}, b"", 30),
        # By the server's clock, which is an hour behind.
        ({"retry-after": "Sun, 22 Nov 2026 11:00:30 GMT", "date": "Sun, 22 Nov 2026 11:00:00 GMT"}, b"", 30),
        # In the body.
        ({}, {"status": 429, "detail": "You are being rate-limited.", "retry_after": 30}, 30),
        ({}, {"error": {"message": "No.", "retryAfter": "30s"}}, 30),
        ({}, {"error": {"message": "No.", "retry_after_ms": 1500}}, 1.5),
        ({}, {"error": {"message": "No.", "details": {"retry_after": 7}}}, 7),
        ({}, openrouter_error(429, retry_after_seconds=8), 8),
        ({}, google_error(429, "RESOURCE_EXHAUSTED", {"metadata": {"quotaResetDelay": "373.8ms"}}), 0.3738),
        ({}, {"error": {"message": "No.", "retry_after": True}}, None),
        ({}, {"error": {"message": "No.", "retry_after": -3, "retryAfter": "soon"}}, None),
        ({}, GOOGLE, 37),
        ({}, OPENROUTER, 5),
        (EXHAUSTED, IN_WORDS, 9),
        (EXHAUSTED, b"", 3),
        (
            {
                "x-ratelimit-limit-tokens": "9",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "8",
            },
            b"",
            8,
        ),
        ({**EXHAUSTED, "x-ratelimit-remaining-requests": "1"}, b"", None),
        ({}, openai_error(message="Limit resets at: 2026-11-22 12:00:30 UTC"), 30),
        ({}, openai_error(message="Limit resets at: 2026-11-22 11:00:30 UTC"), None),
        # The IETF draft: three headers, then one with pairs, then a structured one.
        ({"ratelimit-limit": "9", "ratelimit-remaining": "0", "ratelimit-reset": "30"}, b"", 30),
        ({"ratelimit-reset": "30"}, b"", 30),
        ({"ratelimit-remaining": "5", "ratelimit-reset": "30"}, b"", None),
        ({"ratelimit": "limit=100, remaining=0, reset=30"}, b"", 30),
        ({"ratelimit": "limit=100, remaining=7, reset=30"}, b"", None),
        ({"ratelimit": '"default";r=0;t=30'}, b"", 30),
        ({"ratelimit": '"burst";r=5;t=900, "a, r=0;t=7";r=0;t=30,"b";t=40;r=0'}, b"", 40),
        ({"ratelimit": '"default";r=5;t=30'}, b"", None),
        ({"ratelimit": '"default";r=0'}, b"", None),
        ({"ratelimit": '"default";r=0;t=99999999999'}, b"", None),
        ({"ratelimit": '"default";r=0;t=30', "retry-after": "2"}, b"", 2),
        # A duration or a point in time, in seconds or milliseconds.
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "12"}, b"", 12),
        ({"x-ratelimit-reset": str(NOON // SECOND + 40)}, b"", 40),
        ({"x-ratelimit-reset": str(NOON // 1000 + 40_000)}, b"", 40),
        ({"x-ratelimit-reset": "1m30s"}, b"", 90),
        ({"x-ratelimit-reset": "2026-11-22T12:00:40Z"}, b"", 40),
        ({"x-ratelimit-reset": "2026-11-22T12:00:40"}, b"", None),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(NOON // SECOND + 40)}, b"", 40),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "12"}, b"", None),
        ({"x-ratelimit-reset": "0"}, b"", None),
        ({"x-ratelimit-reset": "-5"}, b"", None),
        ({"x-ratelimit-reset": "99999999"}, b"", None),
        ({"x-ratelimit-reset": "9" * 18}, b"", None),
        ({"x-ratelimit-reset": str(NOON // SECOND - 40)}, b"", None),
        ({"x-ratelimit-reset": "soon"}, b"", None),
        ({}, b"", None),
    ],
)
def test_the_best_source_that_tells_a_time_wins(headers, body, seconds):
    assert _told(headers, body) == (None if seconds is None else seconds * SECOND)


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-5",
        "nan",
        "inf",
        "-inf",
        "1e3",
        "soon",
        "",
        "1763812800",
        "99999999999999999999",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 99 Xyz 9999999 99:99:99 GMT",
    ],
)
def test_a_time_that_is_zero_past_or_absurd_counts_as_not_said(value):
    assert _told({"retry-after": value}) is None
    assert _told({"retry-after": value}, IN_WORDS) == 9 * SECOND
    assert _told({"retry-after-ms": value if value != "1763812800" else "-1"}, IN_WORDS) == 9 * SECOND


def test_a_very_long_wait_is_cut_to_a_week():
    assert _told({"retry-after": str(30 * 86_400)}) == LONGEST_WAIT_US == 7 * 86_400 * SECOND


def test_openrouters_reset_may_come_in_seconds_and_be_past():
    assert _told({}, openrouter_error(429, headers={"X-RateLimit-Reset": NOON // SECOND + 7})) == 7 * SECOND
    assert _told({}, openrouter_error(429, headers={"X-RateLimit-Reset": str(NOON // 1000 - 7)})) is None


def test_a_reset_header_is_no_time_that_was_told():
    assert stated_wait_us(read_evidence(reply(503, b"", EXHAUSTED)), NOON) is None
    for unnamed in ({"x-ratelimit-reset": "12"}, {"ratelimit": '"default";r=0;t=30'}):
        assert stated_wait_us(read_evidence(reply(503, b"", unnamed)), NOON) is None


@pytest.mark.parametrize(("hour", "expected"), [(0, 12), (8, 20), (13, 1), (12, 24)])
def test_the_next_hour_utc_is_always_ahead(hour, expected):
    assert next_utc_hour_us(NOON, hour) == expected * 3600 * SECOND


@given(st.text(max_size=40), st.text(max_size=60))
def test_no_header_and_no_message_makes_the_reading_raise(header, message):
    assert _told({"date": header}, {"error": {"message": "No.", "retry_after": message}}) != 0
    names = (
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset-requests",
        "date",
        "ratelimit",
        "x-ratelimit-reset",
    )
    for name in names:
        found = _told({name: header, "x-ratelimit-limit-requests": header}, openai_error(message=message))
        assert found is None or 0 < found <= LONGEST_WAIT_US


@given(st.integers(1, 10**6), st.sampled_from(["{}", "{}s", "{}ms", "{}m", "{}h"]))
def test_a_duration_in_words_means_what_it_means_in_a_header(number, shape):
    text = shape.format(number)
    assert wait_in_words(f"Please try again in {text}.") == pytest.approx(parse_duration(text))
