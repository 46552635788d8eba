"""docs/providers.md#error-codes, row by row, with the body as that provider sends it."""

from collections.abc import Sequence

import pytest

from batcher.domain.states import FailureKind, PauseReason, PauseScope
from tests.support.replies import (
    BUSY,
    anthropic_error,
    failure,
    google_error,
    mistral_error,
    openai_error,
    openrouter_error,
)

#: (status, body, headers, kind, code)
Rows = Sequence[tuple[object, ...]]

RETRY, RETRY_AT = FailureKind.TRANSIENT, FailureKind.RATE_LIMITED
DEAD, PAUSE = FailureKind.PERMANENT, FailureKind.BLOCKED
BAD = "invalid_request_error"
TPM = "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM)"

OPENAI: Rows = [
    (400, openai_error(None, BAD, "Invalid type for 'messages'"), {}, DEAD, BAD),
    (400, openai_error("unsupported_parameter", BAD, param="max_tokens"), {}, DEAD, "unsupported_parameter"),
    (400, openai_error(None, BAD, "Invalid service_tier argument", param="service_tier"), {}, PAUSE, BAD),
    (
        400,
        openai_error("context_length_exceeded", BAD, "This model's maximum context length is 128000 tokens."),
        {},
        DEAD,
        "context_length_exceeded",
    ),
    (400, openai_error("content_policy_violation"), {}, DEAD, "content_policy_violation"),
    (400, openai_error("invalid_prompt", BAD, "violating our usage policy"), {}, DEAD, "invalid_prompt"),
    (
        400,
        openai_error("billing_hard_limit_reached", "billing_limit_user_error"),
        {},
        PAUSE,
        "billing_hard_limit_reached",
    ),
    (401, openai_error("invalid_api_key", BAD, "Incorrect API key provided: sk-…"), {}, PAUSE, "invalid_api_key"),
    (401, openai_error("account_deactivated", BAD), {}, PAUSE, "account_deactivated"),
    (401, openai_error("invalid_organization", BAD), {}, PAUSE, "invalid_organization"),
    (
        403,
        openai_error("unsupported_country_region_territory", "request_forbidden"),
        {},
        PAUSE,
        "unsupported_country_region_territory",
    ),
    (
        403,
        openai_error("model_not_found", BAD, "Project p does not have access to model gpt-9"),
        {},
        PAUSE,
        "model_not_found",
    ),
    (
        404,
        openai_error("model_not_found", BAD, "The model `x` does not exist or you do not have access"),
        {},
        PAUSE,
        "model_not_found",
    ),
    (403, openai_error("billing_not_active"), {}, PAUSE, "billing_not_active"),
    (429, openai_error("billing_not_active"), {}, PAUSE, "billing_not_active"),
    (409, openai_error("conversation_locked"), {}, RETRY, "conversation_locked"),
    (413, b"", {}, DEAD, "http_413"),
    (422, openai_error(), {}, DEAD, "http_422"),
    (
        429,
        openai_error(
            "rate_limit_exceeded",
            "tokens",
            f"{TPM}: Limit 30000, Used 29000, Requested 2000. Please try again in 1.2s.",
        ),
        {},
        RETRY_AT,
        "rate_limit_exceeded",
    ),
    (
        429,
        openai_error(
            "rate_limit_exceeded",
            "tokens",
            "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 34102.",
        ),
        {},
        DEAD,
        "request_too_large",
    ),
    (429, openai_error("slow_down", "rate_limit_error"), {}, RETRY_AT, "slow_down"),
    (503, openai_error("slow_down"), {}, RETRY_AT, "slow_down"),
    (429, openai_error("insufficient_quota", "insufficient_quota"), {}, PAUSE, "insufficient_quota"),
    (429, openai_error("credit_balance_exhausted", "insufficient_quota"), {}, PAUSE, "credit_balance_exhausted"),
    (
        429,
        openai_error("organization_spend_limit_exceeded", "insufficient_quota"),
        {},
        PAUSE,
        "organization_spend_limit_exceeded",
    ),
    (
        429,
        openai_error("organization_usage_limit_exceeded", "insufficient_quota"),
        {},
        PAUSE,
        "organization_usage_limit_exceeded",
    ),
    (429, openai_error("resource_unavailable"), {}, RETRY_AT, "resource_unavailable"),
    (500, openai_error(None, "server_error", "The server had an error"), {}, RETRY, "server_error"),
    (503, openai_error("server_is_overloaded", "service_unavailable_error"), {}, RETRY_AT, "server_is_overloaded"),
    (500, openai_error(None, "server_error"), {"x-should-retry": "false"}, DEAD, "server_error"),
    (400, openai_error(None, BAD), {"x-should-retry": "true"}, RETRY, BAD),
]

RATE = "rate_limit_error"
ANTHROPIC: Rows = [
    (400, anthropic_error(BAD), {}, DEAD, BAD),
    (400, anthropic_error(BAD, "You have reached your specified API usage limits."), {}, PAUSE, BAD),
    (400, anthropic_error(BAD, "Your credit balance is too low to access the Anthropic API."), {}, PAUSE, BAD),
    (400, anthropic_error(BAD, error_code="organization_on_hold"), {}, PAUSE, "organization_on_hold"),
    (400, anthropic_error(BAD, error_code="cmek_key_disabled"), {}, PAUSE, "cmek_key_disabled"),
    (400, anthropic_error(BAD, error_code="user_profile_required"), {}, PAUSE, "user_profile_required"),
    (
        400,
        anthropic_error(BAD, "prompt is too long: 212000 tokens > 200000 maximum"),
        {},
        DEAD,
        "context_length_exceeded",
    ),
    (401, anthropic_error("authentication_error", "invalid x-api-key"), {}, PAUSE, "authentication_error"),
    (402, anthropic_error("billing_error"), {}, PAUSE, "billing_error"),
    (403, anthropic_error("permission_error"), {}, PAUSE, "permission_error"),
    (404, anthropic_error("not_found_error", "model: claude-9"), {}, PAUSE, "not_found_error"),
    (408, anthropic_error("timeout_error"), {}, RETRY, "timeout_error"),
    (409, anthropic_error("conflict_error"), {}, RETRY, "conflict_error"),
    (413, anthropic_error("request_too_large"), {}, DEAD, "request_too_large"),
    (413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", {}, DEAD, "http_413"),
    (429, anthropic_error(RATE), {"retry-after": "12"}, RETRY_AT, RATE),
    (
        429,
        anthropic_error(RATE, error_code="ramp_limit_exceeded"),
        {"retry-after": "12"},
        RETRY_AT,
        "ramp_limit_exceeded",
    ),
    (
        429,
        anthropic_error(RATE, error_code="enforced_spend_limit_reached"),
        {},
        PAUSE,
        "enforced_spend_limit_reached",
    ),
    (
        429,
        anthropic_error(RATE, error_code="contract_spend_limit_reached"),
        {},
        PAUSE,
        "contract_spend_limit_reached",
    ),
    (499, anthropic_error("api_error"), {}, RETRY, "api_error"),
    (500, anthropic_error("api_error"), {}, RETRY, "api_error"),
    (503, anthropic_error("api_error", error_code="cmek_key_unreachable"), {}, RETRY, "cmek_key_unreachable"),
    (504, anthropic_error("timeout_error"), {}, RETRY, "timeout_error"),
    (529, anthropic_error("overloaded_error", "Overloaded"), {}, RETRY_AT, "overloaded_error"),
]

AZURE_FILTER = {
    "error": {
        "message": "The response was filtered: the prompt triggers the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True}},
        },
    }
}
AZURE: Rows = [
    (400, AZURE_FILTER, {}, DEAD, "content_filter"),
    (400, openai_error("OperationNotSupported"), {}, PAUSE, "OperationNotSupported"),
    (
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}},
        {},
        PAUSE,
        "http_401",
    ),
    (
        403,
        {"error": {"code": "403", "message": "Access denied due to Virtual Network rules."}},
        {},
        PAUSE,
        "http_403",
    ),
    (404, openai_error("DeploymentNotFound"), {}, PAUSE, "DeploymentNotFound"),
    (404, {"error": {"code": "404", "message": "Resource not found"}}, {}, PAUSE, "http_404"),
    (408, {"error": {"code": "Timeout", "message": "The operation was timeout."}}, {}, RETRY, "Timeout"),
    (424, openai_error(), {}, RETRY, "http_424"),
    (
        429,
        {
            "error": {
                "code": "429",
                "message": "You have exceeded token rate limit of your tier. Please retry after 37 seconds.",
            }
        },
        {},
        RETRY_AT,
        "http_429",
    ),
    (
        429,
        {
            "error": {
                "code": "429",
                "message": "System is experiencing high demand and cannot process your request.",
            }
        },
        {},
        RETRY_AT,
        "http_429",
    ),
    (
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."},
        {},
        RETRY_AT,
        "http_429",
    ),
    (500, {"error": {"code": "500", "message": "Internal"}}, {}, RETRY, "http_500"),
    (503, {"error": {"code": "503", "message": "Unavailable"}}, {}, RETRY, "http_503"),
]

INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
MINUTE = {"violations": [{"quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier"}]}
GEMINI: Rows = [
    (400, google_error(400, "INVALID_ARGUMENT"), {}, DEAD, "INVALID_ARGUMENT"),
    (400, google_error(400, "INVALID_ARGUMENT", INFO), {}, PAUSE, "INVALID_ARGUMENT"),
    (400, [google_error(400, "INVALID_ARGUMENT", INFO)], {}, PAUSE, "INVALID_ARGUMENT"),
    (400, google_error(400, "FAILED_PRECONDITION"), {}, PAUSE, "FAILED_PRECONDITION"),
    (403, google_error(403, "PERMISSION_DENIED"), {}, PAUSE, "PERMISSION_DENIED"),
    (404, google_error(404, "NOT_FOUND", message="models/x is not found"), {}, PAUSE, "NOT_FOUND"),
    (429, google_error(429, "RESOURCE_EXHAUSTED", MINUTE, WAIT), {}, RETRY_AT, "RESOURCE_EXHAUSTED"),
    (429, [google_error(429, "RESOURCE_EXHAUSTED", WAIT)], {}, RETRY_AT, "RESOURCE_EXHAUSTED"),
    (429, google_error(429, "RESOURCE_EXHAUSTED"), {}, RETRY_AT, "RESOURCE_EXHAUSTED"),
    (499, google_error(499, "CANCELLED"), {}, RETRY, "CANCELLED"),
    (500, google_error(500, "INTERNAL"), {}, RETRY, "INTERNAL"),
    (503, google_error(503, "UNAVAILABLE", message="The service is unavailable."), {}, RETRY, "UNAVAILABLE"),
    (503, google_error(503, "UNAVAILABLE", message="The model is overloaded."), {}, RETRY_AT, "UNAVAILABLE"),
    (504, google_error(504, "DEADLINE_EXCEEDED"), {}, RETRY, "DEADLINE_EXCEEDED"),
]

GROQ: Rows = [
    (400, openai_error(None, BAD), {}, DEAD, BAD),
    (401, openai_error("invalid_api_key", BAD), {}, PAUSE, "invalid_api_key"),
    (403, openai_error(None, "permissions_error"), {}, PAUSE, "permissions_error"),
    (404, openai_error("model_not_found", BAD), {}, PAUSE, "model_not_found"),
    (422, openai_error(None, BAD), {}, DEAD, BAD),
    (
        413,
        openai_error(
            "rate_limit_exceeded",
            "tokens",
            "Request too large for model `x` on tokens per minute (TPM): Limit 8000, Requested 32979",
        ),
        {},
        DEAD,
        "request_too_large",
    ),
    (424, openai_error(None, BAD), {}, RETRY, BAD),
    (429, openai_error("rate_limit_exceeded", "tokens"), {"retry-after": "2"}, RETRY_AT, "rate_limit_exceeded"),
    (498, openai_error("capacity_exceeded"), {}, RETRY_AT, "capacity_exceeded"),
    (498, b"", {}, RETRY, "http_498"),
    (499, b"", {}, RETRY, "http_499"),
    (500, b"", {}, RETRY, "http_500"),
    (502, b"", {}, RETRY, "http_502"),
    (503, b"", {}, RETRY, "http_503"),
]

OPENROUTER: Rows = [
    (400, openrouter_error(400), {}, DEAD, "http_400"),
    (401, openrouter_error(401, "User not found."), {}, PAUSE, "http_401"),
    (402, openrouter_error(402, limit_source="openrouter_credits"), {}, PAUSE, "http_402"),
    (402, openrouter_error(402, limit_source="openrouter_key_limit"), {}, PAUSE, "http_402"),
    (
        402,
        openrouter_error(402, limit_source="openrouter_in_flight_budget", reason="in_flight_budget_exhausted"),
        {},
        RETRY_AT,
        "http_402",
    ),
    (
        402,
        openrouter_error(402, limit_source="openrouter_in_flight_budget", reason="weight_exceeds_budget"),
        {"retry-after": "1"},
        PAUSE,
        "http_402",
    ),
    (403, openrouter_error(403, reasons=["violence"], flagged_input="…"), {}, DEAD, "http_403"),
    (403, openrouter_error(403, "Request blocked by guardrail"), {}, DEAD, "http_403"),
    (403, openrouter_error(403, error_type="content_policy_violation"), {}, DEAD, "content_policy_violation"),
    (403, openrouter_error(403, error_type="permission_denied"), {}, PAUSE, "permission_denied"),
    (404, openrouter_error(404, "No endpoints found for x/y."), {}, PAUSE, "http_404"),
    (408, openrouter_error(408, error_type="timeout"), {}, RETRY, "http_408"),
    (413, openrouter_error(413, error_type="payload_too_large"), {}, DEAD, "payload_too_large"),
    (422, openrouter_error(422, error_type="unprocessable"), {}, DEAD, "unprocessable"),
    (429, openrouter_error(429, limit_source="upstream_provider_shared_pool"), {}, RETRY_AT, "http_429"),
    (429, openrouter_error(429, limit_source="openrouter_free_tier_daily"), {}, RETRY_AT, "http_429"),
    (500, openrouter_error(500, error_type="server"), {}, RETRY, "server"),
    (502, openrouter_error(502, error_type="provider_unavailable"), {}, RETRY, "provider_unavailable"),
    (503, openrouter_error(503, "No provider fits"), {}, RETRY, "http_503"),
    (524, openrouter_error(524), {}, RETRY, "http_524"),
    (529, openrouter_error(529, error_type="provider_overloaded"), {}, RETRY_AT, "provider_overloaded"),
]

MISTRAL: Rows = [
    (400, mistral_error("invalid_model", "1500", "Invalid model: x"), {}, PAUSE, "invalid_model"),
    (422, mistral_error(BAD, None, {"detail": [{"loc": ["body", "n"], "msg": "too big"}]}), {}, DEAD, BAD),
    (
        422,
        {"detail": [{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]},
        {},
        DEAD,
        "http_422",
    ),
    (401, {"message": "Unauthorized", "request_id": "1"}, {}, PAUSE, "http_401"),
    (401, {"detail": "Unauthorized"}, {}, PAUSE, "http_401"),
    (402, {"message": "Payment required"}, {}, PAUSE, "http_402"),
    (403, mistral_error("forbidden", None, "Inactive subscription"), {}, PAUSE, "forbidden"),
    (429, mistral_error("rate_limited", "1300", "Rate limit exceeded"), {}, RETRY_AT, "rate_limited"),
    (
        429,
        mistral_error("rate_limited", "1300", "Rate limit exceeded"),
        {"x-ratelimit-limit-req-minute": "0"},
        PAUSE,
        "rate_limited",
    ),
    (
        429,
        mistral_error("service_tier_capacity_exceeded", "3505"),
        {},
        RETRY_AT,
        "service_tier_capacity_exceeded",
    ),
    (500, mistral_error("internal_server_error"), {}, RETRY, "internal_server_error"),
    (502, b"<html>Bad Gateway</html>", {}, RETRY, "http_502"),
]

WINDOW = (
    "Input token count + max_tokens parameter must be less than the context length of the model being queried."
)
TOGETHER: Rows = [
    (400, openai_error(None, BAD), {}, DEAD, BAD),
    (401, openai_error("invalid_api_key", BAD), {}, PAUSE, "invalid_api_key"),
    (402, openai_error(None, None, "Monthly spend limit reached"), {}, PAUSE, "http_402"),
    (403, openai_error(None, BAD, WINDOW), {}, DEAD, "context_length_exceeded"),
    (404, openai_error("model_not_found", BAD), {}, PAUSE, "model_not_found"),
    (429, openai_error(None, "rate_limit"), {}, RETRY_AT, "rate_limit"),
    (503, openai_error(None, "service_unavailable"), {}, RETRY, "service_unavailable"),
    (520, b"<html>Web server is returning an unknown error</html>", {}, RETRY, "http_520"),
    (524, b"<html></html>", {}, RETRY, "http_524"),
    (529, b"", {}, RETRY_AT, "http_529"),
]

LOCAL: Rows = [
    (400, openai_error(400, "BadRequestError", "1 validation error"), {}, DEAD, "BadRequestError"),
    (
        400,
        openai_error(400, "BadRequestError", "This model's maximum context length is 4096"),
        {},
        DEAD,
        "context_length_exceeded",
    ),
    (401, {"error": "Unauthorized"}, {}, PAUSE, "http_401"),
    (404, openai_error(404, "NotFoundError", "The model `x` does not exist."), {}, PAUSE, "NotFoundError"),
    (422, openai_error(422, "UnprocessableEntityError"), {}, DEAD, "UnprocessableEntityError"),
    (500, openai_error(500, "InternalServerError"), {}, RETRY, "InternalServerError"),
    (501, openai_error(501, "NotImplementedError"), {}, DEAD, "NotImplementedError"),
    (503, openai_error(503, "ServiceUnavailableError"), {}, RETRY, "ServiceUnavailableError"),
    # Ollama
    (400, openai_error(None, BAD, "invalid options"), {}, DEAD, BAD),
    (404, openai_error(None, "not_found_error", "model 'x' not found"), {}, PAUSE, "not_found_error"),
    (404, {"error": "model 'x' not found, try pulling it first"}, {}, PAUSE, "http_404"),
    (
        503,
        openai_error(None, "api_error", "server busy, please try again.  maximum pending requests exceeded"),
        {},
        RETRY_AT,
        "api_error",
    ),
    # llama.cpp
    (401, openai_error(401, "authentication_error", "Invalid API Key"), {}, PAUSE, "authentication_error"),
    (403, openai_error(403, "permission_error"), {}, PAUSE, "permission_error"),
    (501, openai_error(501, "not_supported_error"), {}, DEAD, "not_supported_error"),
    (503, openai_error(503, "unavailable_error", "Loading model"), {}, RETRY_AT, "unavailable_error"),
    (
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 4096,
            }
        },
        {},
        DEAD,
        "context_length_exceeded",
    ),
    (500, openai_error(500, "server_error", "Jinja: unexpected"), {}, RETRY, "server_error"),
]


PROVIDERS: dict[str, Rows] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "azure": AZURE,
    "gemini": GEMINI,
    "groq": GROQ,
    "openrouter": OPENROUTER,
    "mistral": MISTRAL,
    "together": TOGETHER,
    "local": LOCAL,
}
CASES = [
    pytest.param(*row, id=f"{name}-{number}") for name in PROVIDERS for number, row in enumerate(PROVIDERS[name])
]


@pytest.mark.parametrize(("status", "body", "headers", "kind", "code"), CASES)
def test_each_provider_is_understood_in_its_own_words(status, body, headers, kind, code):
    found = failure(status, body, headers)
    assert (found.kind, found.code) == (kind, code)


@pytest.mark.parametrize(
    ("status", "body", "seconds"),
    [
        (
            429,
            openai_error(
                "rate_limit_exceeded", "tokens", f"{TPM}: Limit 9, Used 9, Requested 1. Please try again in 1.2s."
            ),
            1.2,
        ),
        (429, {"error": {"code": "429", "message": "Please retry after 37 seconds."}}, 37),
        (429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."}, 5),
        (429, google_error(429, "RESOURCE_EXHAUSTED", MINUTE, WAIT), 37),
        (429, [google_error(429, "RESOURCE_EXHAUSTED", WAIT)], 37),
    ],
)
def test_the_time_is_found_where_the_provider_puts_it(status, body, seconds):
    assert failure(status, body).retry_after_us == seconds * 1_000_000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (openrouter_error(402, limit_source="openrouter_credits"), PauseReason.QUOTA),
        (openrouter_error(402, limit_source="openrouter_key_limit"), PauseReason.SPEND_CAP),
    ],
)
def test_openrouters_credit_and_cap_pause_the_key(body, reason):
    found = failure(402, body, context=BUSY)
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (PauseScope.KEY, reason)


@pytest.mark.parametrize("body", [anthropic_error("timeout_error"), google_error(504, "DEADLINE_EXCEEDED")])
def test_the_providers_own_time_limit_is_tried_few_times(body):
    assert failure(504, body).most_attempts == 3
    assert failure(504, b"<html>504</html>").most_attempts is None


def test_a_validation_message_names_the_place_and_the_reason():
    body = {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}, {"msg": "Second"}]}
    assert failure(422, body).message == "body.messages.0: Field required; Second"
