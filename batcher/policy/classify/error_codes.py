"""The codes that providers send for failures, grouped by what they call for. Add a provider's new code here.

Sources: docs/providers.md#error-codes. A name is compared whole with `error.code`, `error.type` and
`details.error_code`, never searched for in a text: "generate" contains "rate".
"""

from typing import Final

#: Prepaid credit is used up, or billing is off.
NO_CREDIT: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_not_active",
        # one-api and new-api.
        "insufficient_user_quota",
        "pre_consume_token_quota_failed",
        # Moonshot; DashScope; MiniMax; z.ai.
        "exceeded_current_quota_error",
        "Arrearage",
        "minimax_1008",
        "1113",
    }
)
#: A spending cap is reached. Comes before NO_CREDIT, because OpenAI's `type` stays `insufficient_quota`.
SPEND_CAP: Final = frozenset(
    {
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_limit_user_error",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        # LiteLLM.
        "budget_exceeded",
    }
)
#: Anthropic's `billing_error` and every `linked_organization_…`.
ANTHROPIC_BILLING: Final = frozenset({"billing_error"})
LINKED_ORGANIZATION: Final = "linked_organization_"
#: How Anthropic begins the message of a spending limit at 400, for which it sends no code.
ANTHROPIC_USAGE_LIMITS: Final = (
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API usage limits",
)
ANTHROPIC_NO_CREDIT: Final = "credit balance is too low"

#: The account or the organization needs a person; every request with the key fails in the same way.
ACCOUNT: Final = frozenset(
    {
        "account_deactivated",
        "organization_on_hold",
        "cmek_key_disabled",
        "user_profile_required",
        "unsupported_country_region_territory",
    }
)
#: Google sends a bad key as a 400 with this `details[].reason`.
GOOGLE_BAD_KEY: Final = "API_KEY_INVALID"
#: A bad key at 400. LiteLLM without a database sends `no_db_connection` for a key that it does not know.
BAD_KEY: Final = frozenset({"invalid_api_key", "InvalidApiKey", "authentication_error", "no_db_connection"})
#: Google: the free tier is not available here, or billing is off.
GOOGLE_PRECONDITION: Final = frozenset({"FAILED_PRECONDITION"})

#: OpenRouter's sources and reasons, values of `error.metadata`: compared, not hashed, as they can be of any type.
OPENROUTER_IN_FLIGHT: Final = "openrouter_in_flight_budget"
OPENROUTER_NO_CREDIT: Final = ("openrouter_credits", "openrouter_key_limit")
OPENROUTER_KEY_LIMIT: Final = "openrouter_key_limit"
OPENROUTER_TOO_HEAVY: Final = "weight_exceeds_budget"
OPENROUTER_DAILY: Final = "openrouter_free_tier_daily"

#: The model is unknown, retired or not available to this key. 1500 is Mistral's.
MODEL: Final = frozenset(
    {
        "model_not_found",
        # Groq.
        "model_decommissioned",
        "DeploymentNotFound",
        "invalid_model",
        "1500",
        "OperationNotSupported",
    }
)
#: Only at 404: the model or the path was not found.
NOT_FOUND: Final = frozenset({"not_found_error", "NotFoundError", "NOT_FOUND", "not_found", "404"})
#: How servers say that a path does not exist, as whole messages in lower case.
NO_SUCH_PATH: Final = frozenset({"not found", "file not found", "404 page not found"})

#: A 403 about this request's content.
MODERATION: Final = frozenset({"content_policy_violation", "refusal", "content_filter", "moderation"})

#: The prompt does not fit the model's window.
CONTEXT_LENGTH: Final = "context_length_exceeded"
CONTEXT: Final = frozenset(
    {
        CONTEXT_LENGTH,
        # llama.cpp, LiteLLM, Copilot, Zhipu. Without a code, the words decide: `wording/token_overflow.py`.
        "exceed_context_size_error",
        "ContextWindowExceededError",
        "model_max_prompt_tokens_exceeded",
        "1261",
    }
)

#: Traffic grew too fast: it must ramp up again from a low rate.
RAMP: Final = frozenset({"slow_down", "ramp_limit_exceeded"})
#: No capacity now: a refusal by the provider, whatever the status says.
OVERLOADED: Final = frozenset(
    {
        "server_is_overloaded",
        "overloaded_error",
        "provider_overloaded",
        "capacity_exceeded",
        "service_tier_capacity_exceeded",
        "slow_down",
    }
)
#: The provider gave up on a long answer: retried few times.
TOOK_TOO_LONG: Final = frozenset({"timeout_error", "DEADLINE_EXCEEDED"})

#: The model missed the requested format or tool call (Groq): another sample may keep it.
FORMAT_MISSED: Final = frozenset({"json_validate_failed", "tool_use_failed"})

#: Names that stand for a status if a 200 carries an error without one (Responses API, gateways).
AS_TOO_MANY: Final = frozenset(
    {
        "rate_limit_exceeded",
        "rate_limit_error",
        "RESOURCE_EXHAUSTED",
        "rate_limited",
        # DashScope.
        "Throttling",
        "Throttling.RateQuota",
        "Throttling.AllocationQuota",
        "Throttling.BurstRate",
        # MiniMax.
        "minimax_1002",
        "minimax_1039",
    }
)
AS_BAD_KEY: Final = frozenset(
    {"authentication_error", "invalid_api_key", "authentication", "InvalidApiKey", "minimax_1004"}
)
AS_BAD_REQUEST: Final = frozenset(
    {
        "invalid_request_error",
        "invalid_request",
        "invalid_prompt",
        "bio_policy",
        "content_policy_violation",
        "content_filter",
        "context_length_exceeded",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "invalid_image_mode",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "image_file_too_large",
        "image_file_not_found",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        # vLLM; Google; DashScope.
        "BadRequestError",
        "INVALID_ARGUMENT",
        "InvalidParameter",
        "DataInspectionFailed",
        "data_inspection_failed",
        # MiniMax: the prompt or the answer is sensitive.
        "minimax_1026",
        "minimax_1027",
    }
)

#: Codes that only batcher uses; a provider's name that equals one is not adopted.
OURS: Final = frozenset(
    {
        "timeout",
        "local",
        "stale_connection",
        "worker_lost",
        "refused_too_often",
        "never_fits",
        "internal_error",
        "unasked_stream",
        "not_json",
        "fewer_embeddings",
        "null_embedding",
        "truncated",
    }
)
