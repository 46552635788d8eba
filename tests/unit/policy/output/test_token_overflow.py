"""How far a request was over a limit, read from what providers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.output.token_overflow import Overflow, read_overflow

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
    assert read_overflow(message, b"n_prompt_tokens" + reply) is None or read_overflow(message) is not None
