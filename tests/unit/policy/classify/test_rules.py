"""docs/providers.md#what-a-reply-means, row by row: what each reply means."""

import pytest

from batcher.domain.states import FailureKind, PauseReason, PauseScope, RefusalCause
from batcher.policy.classify.classify import ReplyContext
from tests.support.messages import words
from tests.support.replies import (
    BUSY,
    FRESH,
    KNOWN,
    NOON,
    anthropic_error,
    failure,
    google_error,
    judged,
    mistral_error,
    openai_error,
    openrouter_error,
)

RETRY, RETRY_AT = FailureKind.TRANSIENT, FailureKind.RATE_LIMITED
DEAD, PAUSE = FailureKind.PERMANENT, FailureKind.BLOCKED
PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
SECOND = 1_000_000


@pytest.mark.parametrize(
    "code",
    [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_limit_user_error",
        "billing_not_active",
        "account_deactivated",
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 429])
@pytest.mark.parametrize("place", ["code", "kind"])
def test_a_code_of_money_pauses_the_key_at_any_status_and_in_either_place(code, status, place):
    found = failure(status, openai_error(**{place: code}), {"retry-after": "1"}, context=BUSY)
    assert found.kind is PAUSE
    assert found.pause is not None
    assert found.pause.scope is PauseScope.KEY
    assert "batcher resume" in words(found.pause.fix, job=1)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            429,
            anthropic_error("rate_limit_error", error_code="enforced_spend_limit_reached"),
            PauseReason.SPEND_CAP,
        ),
        (
            429,
            anthropic_error("rate_limit_error", error_code="contract_spend_limit_reached"),
            PauseReason.SPEND_CAP,
        ),
        (
            400,
            anthropic_error("invalid_request_error", error_code="organization_on_hold"),
            PauseReason.CREDENTIALS,
        ),
        (
            402,
            anthropic_error("billing_error", error_code="linked_organization_billing_unavailable"),
            PauseReason.QUOTA,
        ),
        (400, anthropic_error("x", error_code="linked_organization_anything_new"), PauseReason.QUOTA),
        (
            402,
            anthropic_error("billing_error", error_code="linked_organization_spend_limit_reached"),
            PauseReason.SPEND_CAP,
        ),
        (403, anthropic_error("billing_error"), PauseReason.QUOTA),
        (
            400,
            anthropic_error(
                "invalid_request_error",
                "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
            ),
            PauseReason.SPEND_CAP,
        ),
        (
            400,
            anthropic_error(
                "invalid_request_error", "You have reached your specified workspace API usage limits. You will…"
            ),
            PauseReason.SPEND_CAP,
        ),
        (
            400,
            anthropic_error(
                "invalid_request_error",
                "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
            ),
            PauseReason.QUOTA,
        ),
    ],
)
def test_anthropics_ways_to_say_money_pause_the_key_before_400_or_429_is_looked_at(status, body, reason):
    found = failure(status, body, context=BUSY)
    assert found.kind is PAUSE
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (PauseScope.KEY, reason)


# One case for each further row: (rule of §0, status, body, headers, kind).
ROWS = [
    ("4", 402, openrouter_error(402), {"retry-after": "3"}, RETRY_AT),
    ("4", 402, openrouter_error(402, limit_source="openrouter_in_flight_budget"), {}, RETRY_AT),
    ("5", 402, openrouter_error(402, limit_source="openrouter_credits"), {}, PAUSE),
    ("5", 402, openai_error(message="Payment required"), {}, PAUSE),
    ("6", 401, openai_error("invalid_api_key", "invalid_request_error"), {}, PAUSE),
    ("6", 401, {"error": "Unauthorized"}, {}, PAUSE),
    ("6", 401, PAGE, {}, PAUSE),
    ("6", 403, openai_error(message="Access denied by network rules"), {}, PAUSE),
    (
        "6",
        400,
        google_error(
            400,
            "INVALID_ARGUMENT",
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ),
        {},
        PAUSE,
    ),
    ("6", 400, google_error(400, "FAILED_PRECONDITION"), {}, PAUSE),
    ("7", 404, openai_error("model_not_found", "invalid_request_error"), {}, PAUSE),
    ("7", 403, openai_error("model_not_found", "invalid_request_error"), {}, PAUSE),
    ("7", 404, openai_error("DeploymentNotFound"), {}, PAUSE),
    ("7", 404, anthropic_error("not_found_error", "model: claude-9"), {}, PAUSE),
    ("7", 403, openai_error(message="Project p does not have access to model gpt-9"), {}, PAUSE),
    ("7", 400, mistral_error("invalid_model", "1500", "Invalid model: mistral-9"), {}, PAUSE),
    (
        "8",
        429,
        openai_error(
            "rate_limit_exceeded",
            "tokens",
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 34102.",
        ),
        {"retry-after": "5"},
        DEAD,
    ),
    (
        "8",
        429,
        openai_error("rate_limit_exceeded", "tokens", "Limit 10,000, Used 9,000, Requested 12,000."),
        {},
        DEAD,
    ),
    (
        "8",
        413,
        openai_error(
            "rate_limit_exceeded",
            "tokens",
            "Request too large for model `x` on tokens per minute (TPM): Limit 8000, Requested 32979",
        ),
        {},
        DEAD,
    ),
    (
        "9",
        429,
        openai_error(
            "rate_limit_exceeded", "requests", "on requests per day (RPD): Limit 200, Used 200, Requested 1."
        ),
        {},
        RETRY_AT,
    ),
    ("10", 429, mistral_error("rate_limited", "1300"), {"x-ratelimit-limit-req-minute": "0"}, PAUSE),
    ("10", 429, openai_error("rate_limit_exceeded"), {"x-ratelimit-limit-requests": "0"}, PAUSE),
    ("10b", 429, openai_error("rate_limit_exceeded"), {"x-should-retry": "false"}, PAUSE),
    ("10b", 500, openai_error(kind="server_error"), {"x-should-retry": "false"}, DEAD),
    ("11", 429, openai_error("rate_limit_exceeded", "tokens"), {}, RETRY_AT),
    ("11", 429, anthropic_error("rate_limit_error"), {"retry-after": "9"}, RETRY_AT),
    ("11", 429, google_error(429, "RESOURCE_EXHAUSTED"), {}, RETRY_AT),
    ("11", 429, b"", {}, RETRY_AT),
    ("11", 429, PAGE, {}, RETRY_AT),
    *[
        ("12", status, b"upstream error", {"content-type": "text/plain"}, RETRY)
        for status in (408, 409, 425, 498, 500, 502)
    ],
    *[("12", status, PAGE, {}, RETRY) for status in (500, 502, 503, 504, 520, 521, 522, 523, 524, 599)],
    ("12", 529, anthropic_error("overloaded_error", "Overloaded"), {}, RETRY_AT),
    ("12", 503, openai_error("server_is_overloaded", "service_unavailable_error"), {}, RETRY_AT),
    ("12", 503, b"", {"retry-after": "20"}, RETRY_AT),
    ("12", 400, openai_error(kind="invalid_request_error"), {"x-should-retry": "true"}, RETRY),
    ("12", 501, openai_error(kind="NotImplementedError", code=501), {}, DEAD),
    *[
        ("14", status, openai_error(kind="invalid_request_error"), {}, DEAD)
        for status in (400, 413, 414, 415, 422, 431)
    ],
    *[
        ("14", 400, openai_error(code, "invalid_request_error"), {}, DEAD)
        for code in (
            "context_length_exceeded",
            "string_above_max_length",
            "content_filter",
            "content_policy_violation",
            "invalid_prompt",
            "unsupported_parameter",
            "request_too_large",
            "invalid_image_url",
        )
    ],
    ("15", 301, b"", {"location": "https://example.org/login?next=1"}, PAUSE),
    ("15", 404, PAGE, {}, PAUSE),
    ("15", 405, PAGE, {}, PAUSE),
    ("15", 404, {"detail": "Not Found"}, {}, PAUSE),
]


@pytest.mark.parametrize(("rule", "status", "body", "headers", "kind"), ROWS)
def test_each_rule_decides_its_replies(rule, status, body, headers, kind):
    found = failure(status, body, headers)
    assert found.kind is kind, rule
    assert (found.pause is not None) == (kind is PAUSE)


@pytest.mark.parametrize(("rule", "status", "body", "headers", "kind"), ROWS)
def test_every_failure_has_a_code_and_a_message(rule, status, body, headers, kind):
    found = failure(status, body, headers)
    assert found.code, (rule, kind)
    assert found.message


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 405])
@pytest.mark.parametrize("body", [PAGE, b"", {"detail": "Not Found"}, b"404 page not found"])
def test_no_api_at_the_address_is_the_base_urls_then_the_paths_then_an_outage(status, body):
    first = failure(status, body, context=FRESH)
    assert first.pause is not None
    assert (first.pause.scope, first.pause.reason) == (PauseScope.ENDPOINT, PauseReason.ENDPOINT)
    assert "--base-url" in words(first.pause.fix, job=1)
    path = failure(status, body, context=KNOWN)
    assert path.pause is not None
    assert (path.pause.scope, path.pause.reason) == (PauseScope.ROUTE, PauseReason.ENDPOINT)
    assert "--base-url" not in words(path.pause.fix, job=1)
    later = failure(status, body, context=BUSY)
    assert (later.kind, later.outage) == (RETRY, True)


@pytest.mark.parametrize(
    "body",
    [
        openai_error(kind="invalid_request_error", message="No such File object: file-abc", param="file_id"),
        openai_error(message="Item with id 'rs_1' not found."),
        {"error": "prompt template 'x' does not exist", "code": "prompt_not_found"},
    ],
)
def test_a_404_that_an_api_wrote_on_a_route_that_answers_is_the_rows(body):
    assert failure(404, body, context=BUSY).kind is DEAD


@pytest.mark.parametrize("body", [PAGE, b"", b"  "])
def test_a_success_without_an_answer_in_it_is_an_outage_once_the_endpoint_has_answered(body):
    found = failure(200, body, context=BUSY)
    assert (found.kind, found.outage) == (RETRY, True)


def test_half_an_answer_is_no_outage():
    assert not failure(200, b'{"choices": [{"mess', context=BUSY).outage


def test_a_redirect_names_where_it_leads_without_its_query():
    found = failure(302, b"", {"location": "https://login.example.org/?token=abc"}, context=FRESH)
    assert found.pause is not None
    assert "https://login.example.org/" in words(found.pause.fix, job=1)
    assert "abc" not in words(found.pause.fix, job=1)


@pytest.mark.parametrize("status", [400, 403, 406, 410])
def test_a_page_at_4xx_before_any_answer_pauses_the_endpoint(status):
    found = failure(status, b"<html><title>nginx</title></html>", context=FRESH)
    assert found.pause is not None
    assert found.pause.scope is PauseScope.ENDPOINT


@pytest.mark.parametrize("status", [413, 414, 431])
def test_a_proxys_page_about_size_is_the_requests_own_fault_even_before_any_answer(status):
    assert failure(status, PAGE, context=FRESH).kind is DEAD


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
def test_a_gateways_page_at_5xx_is_transient_even_before_any_answer(status):
    found = failure(status, PAGE, context=FRESH)
    assert (found.kind, found.code) == (RETRY, f"http_{status}")
    assert "502 Bad Gateway" in found.message


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, openai_error("model_not_found", "invalid_request_error")),
        (403, openai_error(message="You may not use this model")),
        (403, anthropic_error("permission_error")),
        (400, openai_error(kind="invalid_request_error", param="service_tier")),
    ],
)
@pytest.mark.parametrize("context", [FRESH, KNOWN, BUSY])
def test_model_and_permission_errors_call_for_a_pause_of_the_lane(status, body, context):
    found = failure(status, body, context=context)
    assert found.pause is not None
    assert found.pause.scope is PauseScope.LANE


def test_a_firewalls_page_at_403_calls_for_a_pause_of_the_endpoint():
    for context in (KNOWN, BUSY):
        found = failure(403, PAGE, context=context)
        assert found.pause is not None
        assert found.pause.scope is PauseScope.ENDPOINT


def test_a_proxy_that_wants_a_login_pauses_the_endpoint():
    found = failure(407, PAGE, context=BUSY)
    assert found.pause is not None
    assert found.pause.scope is PauseScope.ENDPOINT
    assert "HTTP_PROXY for an http:// base URL" in words(found.pause.fix, job=1)


def test_a_bad_key_pauses_whatever_was_answered_before():
    found = failure(401, openai_error("invalid_api_key"), context=BUSY)
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (PauseScope.KEY, PauseReason.CREDENTIALS)
    assert "--api-key-env" in words(found.pause.fix, job=1)


@pytest.mark.parametrize("code", ["slow_down", "ramp_limit_exceeded"])
@pytest.mark.parametrize("status", [429, 503])
def test_traffic_that_grew_too_fast_starts_again_from_little(code, status):
    if code == "slow_down":
        found = failure(status, openai_error(code, "rate_limit_error"), {"retry-after": "2"})
    else:
        found = failure(status, anthropic_error("rate_limit_error", error_code=code), {"retry-after": "2"})
    assert (found.kind, found.restart_ramp, found.retry_after_us) == (RETRY_AT, True, 2 * SECOND)


def test_a_402_for_too_much_in_flight_lowers_the_traffic_and_keeps_the_told_time():
    found = failure(402, openrouter_error(402, limit_source="openrouter_in_flight_budget"), {"retry-after": "3"})
    assert (found.kind, found.restart_ramp, found.retry_after_us) == (RETRY_AT, True, 3 * SECOND)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (
            openai_error(
                "rate_limit_exceeded",
                "requests",
                "on requests per day (RPD): Limit 200, Used 200. Try again in 7m12s.",
            ),
            {},
        ),
        (
            openai_error(
                "rate_limit_exceeded", "tokens", "on tokens per day (TPD): Limit 1, Used 1. try again in 7m12s"
            ),
            {},
        ),
        (
            openrouter_error(
                429,
                limit_source="openrouter_free_tier_daily",
                headers={"X-RateLimit-Reset": str(NOON // 1000 + 432_000)},
            ),
            {},
        ),
        (
            openai_error("rate_limit_exceeded", "requests", "Rate limit reached"),
            {
                "x-ratelimit-limit-requests": "14400",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "23h59m",
                "retry-after": "432",
            },
        ),
    ],
)
def test_a_daily_refusal_is_marked_and_keeps_the_told_time(body, headers):
    found = failure(429, body, headers)
    assert (found.kind, found.cause, found.retry_after_us) == (RETRY_AT, RefusalCause.DAY, 432 * SECOND)


def test_groqs_request_headers_count_a_day_at_groq_alone():
    body = openai_error("rate_limit_exceeded", "requests", "Rate limit reached")
    headers = {"x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-requests": "0", "retry-after": "2"}
    groq = ReplyContext(host="api.groq.com", endpoint_answered=True, route_answered=False)
    assert failure(429, body, headers, context=groq).cause is RefusalCause.DAY
    assert failure(429, body, headers).cause is not RefusalCause.DAY


def test_geminis_daily_quota_waits_for_midnight_pacific_not_for_the_seconds_it_tells():
    quota = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
    found = failure(429, google_error(429, "RESOURCE_EXHAUSTED", quota, retry))
    assert (found.kind, found.cause, found.retry_after_us) == (RETRY_AT, RefusalCause.DAY, 20 * 3600 * SECOND)


_FREE_TIER = "Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests"


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ((), f"You exceeded your current quota.\n* {_FREE_TIER}, limit: 0, model: g\nPlease retry in 25.4s."),
        (({"violations": [{"quotaId": "RequestsPerDay-FreeTier", "quotaValue": "0"}]},), "No."),
        (({"metadata": {"quota_limit_value": "0", "quota_location": "us-west4"}},), "No."),
        ((), "Gemini 2.5 Pro Preview doesn't have a free quota tier. Please use another."),
        ((), "Rate limit reached for m on requests per min: Limit 0, Used 0, Requested 1."),
    ],
)
def test_a_limit_of_zero_pauses_the_lane_as_no_wait_helps(details, message):
    found = failure(429, google_error(429, "RESOURCE_EXHAUSTED", *details, message=message))
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (PauseScope.LANE, PauseReason.MODEL)


@pytest.mark.parametrize(
    "message",
    [
        f"{_FREE_TIER}, limit: 20, model: g",
        f"{_FREE_TIER}, limit: 0.5, model: g",
        f"{_FREE_TIER}, limit: 0,500, model: g",
        "Rate limit exceeded. Remaining limit: 0",
        "Limit 05, Used 3",
    ],
)
def test_another_limit_that_is_used_up_is_a_refusal(message):
    assert failure(429, google_error(429, "RESOURCE_EXHAUSTED", message=message)).kind is RETRY_AT


def test_openrouters_day_ends_at_midnight_utc_where_it_tells_no_time():
    found = failure(429, openrouter_error(429, limit_source="openrouter_free_tier_daily"))
    assert (found.cause, found.retry_after_us) == (RefusalCause.DAY, 12 * 3600 * SECOND)


def test_a_refusal_within_the_limit_is_no_request_too_large():
    figures = "Limit 30000, Used 29999, Requested 15030"
    message = f"Rate limit reached on tokens per min (TPM): {figures}. Please try again in 1.2s."
    found = failure(429, openai_error("rate_limit_exceeded", "tokens", message))
    assert (found.kind, found.cause, found.retry_after_us) == (RETRY_AT, RefusalCause.TOKENS, 1_200_000)


@pytest.mark.parametrize(
    "message",
    [
        "Could not generate: 15030 tokens, model overloaded with rate limit 429, see quota per day",
        "insufficient_quota invalid_api_key model_not_found slow_down",
        "Please try again in 5s, server busy",
    ],
)
def test_words_in_the_message_of_a_bad_request_never_make_it_anything_else(message):
    assert failure(400, openai_error(kind="invalid_request_error", message=message)).kind is DEAD


def test_a_fault_that_says_nothing_is_transient_and_one_that_says_busy_is_a_refusal():
    assert failure(503, openai_error(kind="server_error", message="Service unavailable")).kind is RETRY
    assert failure(503, openai_error(kind="api_error", message="The model is overloaded.")).kind is RETRY_AT
    assert failure(500, anthropic_error("api_error", "Overloaded")).kind is RETRY_AT
    assert failure(500, anthropic_error("overloaded_error")).kind is RETRY_AT
    assert failure(500, openai_error(kind="api_error", message="The model failed.")).kind is RETRY
    assert failure(501, openai_error(kind="api_error", message="The model is overloaded.")).kind is DEAD
    assert failure(502, b"<title>The server is overloaded</title>").kind is RETRY


def test_a_fault_that_names_a_time_keeps_it():
    found = failure(502, b"", {"retry-after": "7"})
    assert (found.kind, found.retry_after_us) == (RETRY, 7 * SECOND)


def test_rate_headers_of_a_fault_are_no_told_time():
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "40s",
    }
    assert failure(500, b"", headers).retry_after_us is None
    assert failure(429, b"", headers).retry_after_us == 40 * SECOND


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (openai_error("string_above_max_length", "invalid_request_error"), "string_above_max_length"),
        (openai_error(None, "invalid_request_error"), "invalid_request_error"),
        (openai_error(400, "BadRequestError"), "BadRequestError"),
        (openai_error(400), "http_400"),
        (openai_error("timeout"), "http_400"),
        (mistral_error("invalid_request_error", "1234"), "invalid_request_error"),
        (google_error(400, "INVALID_ARGUMENT"), "INVALID_ARGUMENT"),
        (openrouter_error(400, error_type="string_too_long"), "string_too_long"),
        (
            anthropic_error("invalid_request_error", "prompt is too long: 212000 tokens > 200000 maximum"),
            "context_length_exceeded",
        ),
        (
            openai_error(400, "BadRequestError", "This model's maximum context length is 4096 tokens."),
            "context_length_exceeded",
        ),
        (openai_error(400, "exceed_context_size_error"), "context_length_exceeded"),
        (b"oops", "http_400"),
    ],
)
def test_the_code_is_the_providers_own_where_it_says_something(body, code):
    assert failure(400, body).code == code


def test_the_words_of_the_provider_behind_openrouter_are_kept():
    found = failure(502, openrouter_error(502, "Provider returned error", raw="upstream: no capacity"))
    assert found.message == "Provider returned error: upstream: no capacity"


@pytest.mark.parametrize("hostile", [{"a": 1}, [1], 7, None, True, "x" * 10_000])
def test_no_type_in_any_place_makes_classifying_raise(hostile):
    error = dict.fromkeys(("code", "type", "message", "param", "status", "details", "metadata"), hostile)
    nested = {
        "limit_source": hostile,
        "reason": hostile,
        "headers": hostile,
        "raw": hostile,
        "error_type": hostile,
    }
    bodies = [
        {"error": error},
        {"error": {"details": [{"reason": hostile, "violations": [{"quotaId": hostile}], "retryDelay": hostile}]}},
        {"error": {"metadata": nested, "message": hostile}},
        {"message": hostile, "detail": hostile, "code": hostile, "statusCode": hostile, "object": "error"},
        [error],
        hostile,
    ]
    for body in bodies:
        for status in (200, 302, 400, 402, 403, 404, 413, 429, 500, 503):
            assert judged(status, body) is not None


@pytest.mark.parametrize(
    "message",
    [
        "Timeout while downloading https://example.test/a.png.",
        "Failed to download image from https://example.test/a.png",
        "Error while downloading file.",
        "Could not fetch the image.",
        "The image download timed out.",
    ],
)
def test_a_download_that_failed_at_the_provider_is_tried_a_few_times(message):
    found = failure(400, openai_error("invalid_image_url", "invalid_request_error", message))
    assert (found.kind, found.most_attempts) == (FailureKind.TRANSIENT, 3)


@pytest.mark.parametrize("message", ["Invalid image.", "Unsupported download format is not a field", "Downloads"])
def test_other_words_about_images_are_the_requests_fault(message):
    assert failure(400, openai_error("invalid_image", None, message)).kind is FailureKind.PERMANENT


@pytest.mark.parametrize("code", ["json_validate_failed", "tool_use_failed"])
def test_a_format_that_the_model_missed_is_tried_a_few_times(code):
    found = failure(400, openai_error(code, "invalid_request_error", "Failed to generate JSON."))
    assert (found.kind, found.code, found.most_attempts) == (FailureKind.TRANSIENT, code, 3)


def test_a_failed_dependency_is_a_server_fault():
    assert failure(424, {"error": "Request failed during generation", "error_type": "generation"}).kind is (
        FailureKind.TRANSIENT
    )
