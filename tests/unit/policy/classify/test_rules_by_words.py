"""Replies that say in a sentence alone what they mean, as gateways and smaller providers do."""

import pytest

from batcher.domain.states import FailureKind, PauseReason, PauseScope, RefusalCause
from tests.support.messages import words
from tests.support.replies import BUSY, FRESH, KNOWN, failure, openai_error, openrouter_error

RETRY, RETRY_AT = FailureKind.TRANSIENT, FailureKind.RATE_LIMITED
DEAD, PAUSE = FailureKind.PERMANENT, FailureKind.BLOCKED
KEY, LANE, ENDPOINT = PauseScope.KEY, PauseScope.LANE, PauseScope.ENDPOINT
SECOND = 1_000_000
SUSPENDED = "Account foo is suspended, possibly due to reaching the monthly spending limit or failure to pay."
MOVED = "https://old.huggingface.co is no longer supported. Please use https://router.huggingface.co instead."
BUDGET = "Budget has been exceeded! Current cost: 76.16, Max budget: 10.0"
XAI_CREDITS = "Your team 16f2 has either used all available credits or reached its monthly spending limit."
XAI_KEY = {
    "code": "Client specified an invalid argument",
    "error": "Incorrect API key provided: xa***zz. You can obtain an API key from https://console.x.ai.",
}


@pytest.mark.parametrize(
    ("status", "body", "scope", "reason"),
    [
        (429, openai_error("1113", None, "Insufficient balance or no resource package."), KEY, PauseReason.QUOTA),
        (429, openai_error(None, "AI_APICallError", "Insufficient balance."), KEY, PauseReason.QUOTA),
        (429, openai_error(None, "exceeded_current_quota_error", "x"), KEY, PauseReason.QUOTA),
        (429, {"code": "x", "error": XAI_CREDITS}, KEY, PauseReason.QUOTA),
        (403, openai_error("insufficient_user_quota", "new_api_error", "x"), KEY, PauseReason.QUOTA),
        (403, openai_error(None, "one_api_error", "user quota is not enough"), KEY, PauseReason.QUOTA),
        (
            401,
            openai_error(None, "new_api_error", "\u8be5\u4ee4\u724c\u989d\u5ea6\u5df2\u7528\u5c3d"),
            KEY,
            PauseReason.QUOTA,
        ),
        (403, {"code": "x", "error": XAI_CREDITS}, KEY, PauseReason.QUOTA),
        (402, openai_error("invalid_request_error", None, "Insufficient Balance"), KEY, PauseReason.QUOTA),
        (400, openai_error("Arrearage", "Arrearage", "Access denied"), KEY, PauseReason.QUOTA),
        (400, openai_error("400", "budget_exceeded", BUDGET), KEY, PauseReason.SPEND_CAP),
        (400, openai_error("400", "None", BUDGET), KEY, PauseReason.SPEND_CAP),
        (
            429,
            openai_error("429", "None", "No deployments available - crossed budget: Exceeded budget for x"),
            KEY,
            PauseReason.SPEND_CAP,
        ),
        (412, openai_error("PRECONDITION_FAILED", "error", SUSPENDED), KEY, PauseReason.CREDENTIALS),
        (400, openai_error(None, None, SUSPENDED), KEY, PauseReason.CREDENTIALS),
        (403, openai_error(None, None, SUSPENDED), KEY, PauseReason.CREDENTIALS),
        (400, XAI_KEY, KEY, PauseReason.CREDENTIALS),
        (400, openai_error("400", "no_db_connection", "No connected db."), KEY, PauseReason.CREDENTIALS),
        (400, openai_error("invalid_api_key", None, "No."), KEY, PauseReason.CREDENTIALS),
        (400, openai_error("400", None, "API key not valid. Please pass one."), KEY, PauseReason.CREDENTIALS),
        (410, {"error": MOVED}, ENDPOINT, PauseReason.ENDPOINT),
        (410, {"error": "This endpoint has been retired."}, ENDPOINT, PauseReason.ENDPOINT),
    ],
)
@pytest.mark.parametrize("context", [FRESH, KNOWN, BUSY])
def test_what_stops_every_request_pauses_whatever_was_answered_before(status, body, scope, reason, context):
    found = failure(status, body, context=context)
    assert found.kind is PAUSE
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (scope, reason)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, openai_error("invalid_request_error", "invalid_request_error", "Model Not Exist")),
        (400, openrouter_error(400, "foo/bar is not a valid model ID")),
        (
            400,
            openai_error(
                "400", "invalid_request_error", "/chat/completions: Invalid model name passed in model=f"
            ),
        ),
        (400, openai_error("model_decommissioned", "invalid_request_error", "No.")),
        (400, {"message": "The provided model identifier is invalid."}),
        (422, openai_error(None, None, "The model `gpt-9` does not exist")),
        (410, openai_error(None, None, "The model claude-1 was retired. See https://example.com/models")),
    ],
)
@pytest.mark.parametrize("context", [FRESH, KNOWN, BUSY])
def test_an_unknown_model_calls_for_a_pause_of_its_lane(status, body, context):
    found = failure(status, body, context=context)
    assert found.pause is not None
    assert (found.pause.scope, found.pause.reason) == (LANE, PauseReason.MODEL)


def test_a_moved_api_names_the_new_address():
    found = failure(410, {"error": MOVED}, context=BUSY)
    assert found.pause is not None
    assert "https://router.huggingface.co)" in words(found.pause.fix, job=1)
    assert found.pause.message == MOVED


ECHO = "Input should be a valid string, got " + "x" * 160


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # What the request says may be repeated further on.
        (400, openai_error(None, None, f"{ECHO}: Incorrect API key provided"), DEAD),
        (400, openai_error(None, None, f"{ECHO}: insufficient balance"), DEAD),
        (422, openai_error(None, None, f"{ECHO}: the model x does not exist"), DEAD),
        (500, openai_error(None, None, "Insufficient balance"), RETRY),
        (410, b"", DEAD),
        (410, openai_error(None, None, "Gone"), DEAD),
        (412, openai_error(None, None, "Precondition failed"), DEAD),
        (429, openrouter_error(429, "Provider returned error", raw="account x is suspended"), RETRY_AT),
        (
            429,
            openai_error(None, None, "You exceeded your current quota, please check your plan and billing"),
            RETRY_AT,
        ),
    ],
)
def test_other_replies_pause_nothing(status, body, kind):
    assert failure(status, body).kind is kind


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"object": "error", "message": "The request queue is full.", "type": "x", "code": 503}, None),
        ({"error": "Model x is currently loading", "estimated_time": 20.5}, 20.5),
        (openai_error(503, "unavailable_error", "Loading model"), None),
        (openai_error("request_queue_full", None, "No."), None),
        (openai_error("ServerBusy", None, "No."), None),
        (openai_error(None, None, "There is not enough capacity"), None),
        (openai_error(None, None, "The model is still loading"), None),
    ],
)
def test_a_503_for_capacity_is_a_refusal(body, seconds):
    found = failure(503, body)
    assert found.kind is RETRY_AT
    assert found.retry_after_us == (None if seconds is None else seconds * SECOND)


@pytest.mark.parametrize("estimate", [True, "soon", None, [20], -1, float("inf"), 1e300])
def test_an_absurd_estimate_is_no_time(estimate):
    assert (
        failure(503, {"error": "Model x is currently loading", "estimated_time": estimate}).retry_after_us is None
    )


@pytest.mark.parametrize(
    "message", ["Service unavailable", "No server is available to handle this request.", "Upload"]
)
def test_a_503_that_does_not_name_capacity_is_a_fault(message):
    assert failure(503, openai_error(None, None, message)).kind is RETRY


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("rate_limit_requests_per_day", "No."),
        ("RequestsPerDay", "No."),
        (None, "Rate limit exceeded: free-models-per-day"),
        (None, "limit type: tokens_per_day"),
        (None, "Daily limit reached"),
        ("daily_request_limit_exceeded", "No."),
    ],
)
def test_a_daily_limit_is_found_in_identifiers_too(code, message):
    assert failure(429, openai_error(code, None, message)).cause is RefusalCause.DAY


@pytest.mark.parametrize(
    "message", ["Rate limit exceeded. Your daily limit is 500.", "Limit type: max_parallel_requests"]
)
def test_another_limit_is_not_daily(message):
    assert failure(429, openai_error(None, None, message)).cause is not RefusalCause.DAY


def test_a_model_is_found_in_an_identifier_too():
    assert failure(404, openai_error("ModelNotAvailable", None, "model_group gone"), context=KNOWN).kind is PAUSE


@pytest.mark.parametrize(
    ("status", "kind"), [(400, DEAD), (403, DEAD), (413, DEAD), (422, DEAD), (500, DEAD), (502, RETRY)]
)
def test_a_prompt_that_exceeds_the_window_is_a_dead_letter_at_each_status_that_can_mean_it(status, kind):
    body = openai_error(None, None, "the request exceeds the available context size")
    found = failure(status, body, context=KNOWN)
    assert (found.kind, found.code == "context_length_exceeded") == (kind, kind is DEAD)


def test_words_that_may_mean_something_else_count_only_if_the_request_is_at_fault():
    body = openai_error(None, None, "Please reduce the length of the messages or completion.")
    assert failure(400, body).code == "context_length_exceeded"
    assert (failure(500, body).kind, failure(500, body).code) == (RETRY, "http_500")


@pytest.mark.parametrize("status", [413, 429])
def test_a_limit_of_a_rate_that_a_request_exceeds_alone_is_not_about_the_window(status):
    message = "Rate limit: Limit 30000, Requested 40000 tokens per min"
    found = failure(status, openai_error(None, None, message))
    assert (found.kind, found.code) == (DEAD, "request_too_large")


APIM_QUOTA = {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 02:10:05."}
GITHUB = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
BEDROCK = {"message": "Too many tokens, please wait before trying again.", "__type": "ThrottlingException"}
BEHIND_LITELLM = "litellm.ServiceUnavailableError: BedrockException - ThrottlingException: x"


@pytest.mark.parametrize(
    ("status", "body", "headers", "seconds"),
    [
        (403, APIM_QUOTA, {"retry-after": "7805"}, 7805),
        (403, GITHUB, {}, None),
        (403, openai_error(None, None, "Rate limit exceeded for model gpt-9"), {}, None),
        (403, openai_error(None, None, "Not now."), {"retry-after": "30"}, 30),
        (400, BEDROCK, {}, None),
        (400, openai_error("rate_limit_exceeded", None, "Slow down, try again in 4s"), {}, 4),
        (500, openai_error(None, None, BEHIND_LITELLM), {}, None),
        (502, openai_error(None, None, "Upstream error: 429 Too Many Requests"), {}, None),
        (200, {"error": "Too many requests"}, {}, None),
        (200, openai_error(None, None, "Rate limit exceeded. Try again in 9s."), {}, 9),
        (200, {"error_code": 18, "error_msg": "Open api qps request limit reached"}, {}, None),
        (200, openai_error(None, "server_error", "The model is overloaded"), {}, None),
    ],
)
@pytest.mark.parametrize("context", [FRESH, BUSY])
def test_a_limit_that_is_said_at_another_status_is_a_refusal(status, body, headers, seconds, context):
    found = failure(status, body, headers, context=context)
    assert found.kind is RETRY_AT
    assert found.retry_after_us == (None if seconds is None else seconds * SECOND)


def test_a_limit_at_another_status_may_be_for_a_day_or_too_small_for_the_request():
    daily = failure(200, {"error_code": 17, "error_msg": "Open api daily request limit reached"})
    assert daily.cause is RefusalCause.DAY
    message = "Rate limit exceeded: Limit 30000, Requested 40000"
    assert failure(403, openai_error(None, None, message)).code == "request_too_large"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, openai_error(None, None, f"{ECHO}: too many requests"), DEAD),
        (403, openai_error(None, None, "This key has no permission."), PAUSE),
        (403, openai_error(None, None, "Rate limit exceeded: your account is suspended"), PAUSE),
        (404, openai_error(None, None, "rate limit exceeded"), PAUSE),
        (200, openai_error(None, None, "Something failed."), RETRY),
    ],
)
def test_other_words_stay_what_their_status_says(status, body, kind):
    assert failure(status, body).kind is kind
