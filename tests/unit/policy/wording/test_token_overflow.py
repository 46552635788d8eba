"""How far a request was over a limit, read from what providers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.wording.token_overflow import Overflow, exceeds_window, read_overflow

WORDS = [
    (
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9310 tokens. "
            "Please reduce the length of the messages."
        ),
        9310,
        8192,
    ),
    (
        (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9310 tokens "
            "(9000 in the messages, 310 in the functions). Please reduce the length of the messages or functions."
        ),
        9310,
        8192,
    ),
    (
        (
            "This model's maximum context length is 4097 tokens, however you requested 5360 tokens (1360 in your "
            "prompt; 4000 for the completion). Please reduce your prompt; or completion length."
        ),
        5360,
        4097,
    ),
    (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the "
            "messages, 1000 in the completion). Please reduce the length of the messages or completion."
        ),
        5000,
        4096,
    ),
    (
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300123 tokens. "
            "Please reduce the length of the messages."
        ),
        300123,
        272000,
    ),
    (
        (
            "Request too large for gpt-4o in organization org on tokens per min (TPM): Limit "
            "30000, Requested 35210. "
            "The input or output tokens must be reduced in order to run successfully."
        ),
        35210,
        30000,
    ),
    (
        (
            "This endpoint's maximum context length is 131072 tokens. However, you requested about 140200 "
            "tokens "
            "(40200 of text input, 100000 in the output). Please reduce the length of either one."
        ),
        140200,
        131072,
    ),
    ("prompt is too long: 208310 tokens > 200000 maximum", 208310, 200000),
    (
        (
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, "
            "decrease input length or "
            "`max_tokens` and try again"
        ),
        209573,
        200000,
    ),
    (
        (
            "This model's maximum context length is 4096 tokens. However, you requested 5003 "
            "tokens in the messages, "
            "Please reduce the length of the messages."
        ),
        5003,
        4096,
    ),
    (
        (
            "This model's maximum context length is 2048 tokens. However, your request has "
            "3001 input tokens. Please "
            "reduce the length of the input messages."
        ),
        3001,
        2048,
    ),
    (
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's "
            "maximum context length is 4096 "
            "tokens and your request has 100 input tokens (5000 > 4096 - 100)."
        ),
        5100,
        4096,
    ),
    ("The decoder prompt (length 5012) is longer than the maximum model length of 4096.", 5012, 4096),
    ("request (9310 tokens) exceeds the available context size (8192 tokens), try increasing it", 9310, 8192),
    (
        "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).",
        1048577,
        1048576,
    ),
    (
        "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        65673,
        32768,
    ),
    (
        (
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. "
            "Given: 5000 `inputs` tokens "
            "and 20 `max_new_tokens`"
        ),
        5020,
        4097,
    ),
    ("prompt is too long: 208,310 tokens > 200,000 maximum", 208310, 200000),
]


@pytest.mark.parametrize(("message", "tokens", "limit"), WORDS)
def test_figures_are_read_from_the_provider_s_words(message, tokens, limit):
    assert read_overflow(message) == Overflow(tokens=tokens, limit=limit)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Please reduce the length of the messages or completion.",
        "This model's maximum context length is 8192 tokens.",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        "prompt is too long: many tokens > some maximum",
        "prompt is too long: 9999999999999999999999 tokens > 200000 maximum",
    ],
)
def test_where_no_figures_are_said_none_are_made_up(message):
    assert read_overflow(message) is None


#: Sentences of providers, gateways and servers: (message, tokens and limit if it states them).
TOO_LONG = [
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", None),
    ("Input is too long for requested model.", None),
    (
        (
            "litellm.ContextWindowExceededError: litellm._pre_call_checks: Context Window exceeded for this call. "
            "No models have context window large enough.\nModel=gpt-4, Max Input Tokens=20, Got=30"
        ),
        (30, 20),
    ),
    ("litellm.ContextWindowExceededError: the prompt was refused", None),
    ("Input length (265330) exceeds model's maximum context length (262144).", (265330, 262144)),
    (
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        (537812, 131072),
    ),
    ("Please reduce the length of the messages or completion.", None),
    ("Input length 5000 exceeds the maximum allowed input length of 4096 tokens.", (5000, 4096)),
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", (5000, 4096)),
    ("prompt token count of 9000 exceeds the limit of 8192", (9000, 8192)),
    ("prompt token count 9000 exceeds the model's maximum context 8192", (9000, 8192)),
    (
        (
            "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with "
            "context length of only 4096 tokens, which is not enough."
        ),
        None,
    ),
    ("The number of tokens to keep from the initial prompt is greater than the context length.", None),
    ("invalid params, context window exceeds limit (2013)", None),
    ("Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)", (9000, 8192)),
    ("prompt has 9,000 tokens, but the configured context size is 8,192 tokens", (9000, 8192)),
    ("prompt too long; exceeded max context length by 23 tokens", None),
    ("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]", None),
    ("`inputs` must have less than 512 tokens. Given: 600", (600, 512)),
    ("the request exceeds the available context size. try increasing the context size", None),
    (
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        (9000, 8192),
    ),
    (
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
        (5000, 4081),
    ),
    ("Invalid 'input': maximum context length is 8192 tokens.", None),
    ("Prompt exceeds max length", None),
    (
        "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model",
        (5000, 4096),
    ),
    ("Requested tokens (5000) exceed context window of 4096", None),
    ("The model's context window is 4096 tokens, your prompt has 5000 tokens.", (5000, 4096)),
    ("context_length_exceeded", None),
    ("contextWindowExceeded: too many tokens", None),
]


@pytest.mark.parametrize(("message", "figures"), TOO_LONG)
def test_a_prompt_that_exceeds_the_window_is_recognized_in_the_words_of_many_servers(message, figures):
    assert exceeds_window(message, at_fault=True)
    expected = None if figures is None else Overflow(tokens=figures[0], limit=figures[1])
    assert read_overflow(message) == expected


@pytest.mark.parametrize("message", [message for message, _, _ in WORDS if "per min" not in message])
def test_figures_above_the_limit_are_proof_enough(message):
    assert exceeds_window(message, at_fault=True)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.",
        "Rate limit reached for m: Limit 30000, Requested 40000 tokens per min",
        "input tokens exceed the rate limit of your tier",
        "rate_limit_tokens_per_minute: prompt tokens 900 exceeds 800",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "Range of max_tokens should be [1, 8192]",
        "Invalid 'messages[0].content': string too long. Expected a string with maximum length 1048576.",
        "Your prompt is too long: at most 4000 characters",
        "Invalid 'input': array too long. Expected an array with maximum length 2048, got 3000.",
        "Input length 5000 exceeds the maximum of 4096 characters",
        "The request has 129 tools, which exceeds the maximum limit of 128",
        "Unknown parameter: 'context_length'",
        "The prompt was refused. 5000 tokens of 8192 were used.",
        "'temperature' exceeds the maximum of 2",
        "stop: at most 4 sequences; sequence length 5 exceeds 4",
        "request length 31457280 exceeds 20971520",
    ],
)
def test_other_limits_are_not_taken_for_the_window(message):
    assert not exceeds_window(message, at_fault=True)


def test_without_a_status_that_says_so_only_what_is_certain_counts():
    assert exceeds_window("the request exceeds the available context size", at_fault=False)
    assert exceeds_window("prompt is too long: 208310 tokens > 200000 maximum", at_fault=False)
    assert not exceeds_window("Please reduce the length of the messages or completion.", at_fault=False)


@pytest.mark.parametrize(
    ("reply", "figures"),
    [
        (
            (
                b'{"error":{"code":400,"message":"the request exceeds the available context size","type":'
                b'"exceed_context_size_error","n_prompt_tokens":9310,"n_ctx":8192}}'
            ),
            Overflow(tokens=9310, limit=8192),
        ),
        (b'{"error":{"n_prompt_tokens":9310}}', None),
        (b'{"error":{"n_prompt_tokens":"many","n_ctx":8192}}', None),
        (b'{"error":{"n_prompt_tokens":9310,"n_ctx":81', None),
        (b"\xff n_prompt_tokens", None),
        (b'{"error": {"message": "no"}}', None),
        (None, None),
    ],
)
def test_llama_cpp_says_it_in_fields_of_the_reply(reply, figures):
    assert read_overflow("the request exceeds the available context size", reply) == figures


@given(st.text(), st.binary())
def test_nothing_that_is_said_breaks_it(message, reply):
    exceeds_window(message, at_fault=True)
    assert read_overflow(message, b"n_prompt_tokens" + reply) is None or read_overflow(message) is not None
