"""What providers say about accounts, keys, models and addresses, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.wording.account_trouble import OPENING, Trouble, account_trouble, other_address


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        # z.ai, DeepSeek, MiniMax, Moonshot, xAI, Anthropic, DashScope.
        ("Insufficient balance or no resource package. Please recharge.", Trouble.NO_CREDIT),
        ("[1113][Insufficient balance or no resource package. Please recharge.][2026]", Trouble.NO_CREDIT),
        ("余额不足或无可用资源包,请充值。", Trouble.NO_CREDIT),
        ("Insufficient account balance", Trouble.NO_CREDIT),
        (
            "Your account org-1 <ak-2> is suspended due to insufficient balance, please recharge your account",
            Trouble.NO_CREDIT,
        ),
        (
            "Your team 16f2 has either used all available credits or reached its monthly spending limit.",
            Trouble.NO_CREDIT,
        ),
        ("You have run out of credits.", Trouble.NO_CREDIT),
        ("You have exhausted your prepaid credits", Trouble.NO_CREDIT),
        ("Your credit balance is too low to access the API", Trouble.NO_CREDIT),
        ("Your account is not active, please check your billing details on our website.", Trouble.NO_CREDIT),
        # Fireworks, Moonshot, Google.
        (
            "Account foo is suspended, possibly due to reaching the monthly spending limit or failure to pay",
            Trouble.SUSPENDED,
        ),
        ("Your account org-x <ak-y> is suspended, please check your plan and billing details", Trouble.SUSPENDED),
        ("Permission denied: Consumer 'api_key:x' has been suspended.", Trouble.SUSPENDED),
        ("This organization has been disabled.", Trouble.SUSPENDED),
        # LiteLLM and others.
        ("Budget has been exceeded! Current cost: 76.16, Max budget: 10.0", Trouble.SPEND_CAP),
        ("ExceededBudget: End User=x over budget. Spend=0.0008, Budget=0.0001", Trouble.SPEND_CAP),
        ("No deployments available - crossed budget: Exceeded budget for deployment", Trouble.SPEND_CAP),
        ("You have reached your monthly spending limit", Trouble.SPEND_CAP),
        ("Project spend cap exceeded", Trouble.SPEND_CAP),
        # xAI, Google, Cerebras, LiteLLM.
        (
            "Incorrect API key provided: xa***zz. You can obtain an API key from https://console.x.ai.",
            Trouble.BAD_KEY,
        ),
        ("API key not valid. Please pass a valid API key.", Trouble.BAD_KEY),
        ("API key expired. Please renew the API key.", Trouble.BAD_KEY),
        ("Authentication Error, Invalid proxy server token passed", Trouble.BAD_KEY),
        ("The api-key is invalid", Trouble.BAD_KEY),
        # DeepSeek, OpenRouter, LiteLLM, Groq, Bedrock, OpenAI, Ollama.
        ("Model Not Exist", Trouble.UNKNOWN_MODEL),
        ("foo/bar is not a valid model ID", Trouble.UNKNOWN_MODEL),
        ("/chat/completions: Invalid model name passed in model=foo. Call `/v1/models`", Trouble.UNKNOWN_MODEL),
        ("The model `llama-3.2-11b` has been decommissioned and is no longer supported.", Trouble.UNKNOWN_MODEL),
        ("The provided model identifier is invalid.", Trouble.UNKNOWN_MODEL),
        ("The model 'gpt-9' does not exist", Trouble.UNKNOWN_MODEL),
        ('model "llama9" not found, try pulling it first', Trouble.UNKNOWN_MODEL),
        ("Unknown model: gpt-9", Trouble.UNKNOWN_MODEL),
    ],
)
def test_a_complaint_is_recognized(message, trouble):
    assert account_trouble(message) is trouble


@pytest.mark.parametrize(
    "message",
    [
        "",
        # Gemini's free tier says so for a limit per minute.
        "You exceeded your current quota, please check your plan and billing details. Please retry in 39.5s",
        "Your account is temporarily blocked due to too many requests",
        "Gemini API has not been used in project 12 before or it is disabled.",
        "insufficient_quota invalid_api_key model_not_found",
        "thinking budget has been exceeded",
        "The token budget has been exceeded",
        "x is temporarily rate-limited upstream. Please retry shortly",
        "Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3.",
        "Tool choice is not supported by this model",
        "The model produced invalid content",
        "Function 'balance' is insufficient: credits must be a number",
        "Invalid value for 'model': expected a string",
        "The image does not exist",
        "response_format is not supported with model x",
        "Invalid model output",
        "Unknown model parameter 'foo'",
    ],
)
def test_other_sentences_are_none(message):
    assert account_trouble(message) is None


@pytest.mark.parametrize(
    ("message", "address"),
    [
        (
            "https://old.example.co is no longer supported. Please use https://new.example.co/v1 instead.",
            "https://new.example.co/v1",
        ),
        ("The API has moved to https://new.example.co.", "https://new.example.co"),
        ("https://old.example.co is no longer supported.", None),
        ("Gone", None),
    ],
)
def test_a_new_address_is_read(message, address):
    assert other_address(message) == address


@pytest.mark.parametrize(
    ("message", "counts"),
    [
        ("litellm.BadRequestError: OpenAIException - Budget has been exceeded! Current cost: 14", True),
        ("x" * 79 + " insufficient balance", False),
        ("Invalid value: 'insufficient balance' is not a number", False),
        ('Got "incorrect api key provided" for the field', False),
    ],
)
def test_where_a_message_may_repeat_the_request_only_its_beginning_counts(message, counts):
    assert (account_trouble(message, within=OPENING) is not None) is counts
    assert account_trouble(message) is not None


@given(st.text(max_size=300))
def test_no_message_raises(message):
    account_trouble(message, within=OPENING)
    other_address(message)
