"""Token estimates: what is counted, and what is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.tokens.estimate import DEFAULT_OUTPUT_TOKENS, estimate
from batcher.policy.tokens.media import MEDIA_TOKENS

CHAT = "/v1/chat/completions"
#: Of each chat, 3 tokens are for the request, 3 for the message, and 4 bytes for `user`.
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d" * 70}}


def tokens_in(path, body):
    return estimate(path, body, len(json.dumps(body))).input_tokens


def tokens_out(path, body):
    return estimate(path, body, len(json.dumps(body))).output_tokens


def user(content, **more):
    return {"messages": [{"role": "user", "content": content, **more}]}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (CHAT, user("x" * 31), 3 + 3 + 10),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 31}] * 2}, 3 + 2 * 3 + 20),
        (CHAT, user("é" * 12 + "x" * 7), 3 + 3 + 10),
        (CHAT, user([{"type": "text", "text": "x" * 31}]), 3 + 3 + 10),
        (CHAT, user(["x" * 31]), 3 + 3 + 10),
        (CHAT, user([IMAGE, IMAGE]), 3 + 3 + 2 + 2 * MEDIA_TOKENS),
        (CHAT, user([{"type": "input_audio", "input_audio": {"data": "A" * 99}}]), 3 + 3 + 2 + MEDIA_TOKENS),
        (CHAT, user(None), 3 + 3 + 2),
        ("/v1/embeddings", {"input": "x" * 35}, 10),
        ("/v1/embeddings", {"input": ["x" * 35, "x" * 35]}, 20),
        ("/v1/embeddings", {"input": [1, 2, 3]}, 3),
        ("/v1/embeddings", {"input": [[1, 2], [3]]}, 3),
        ("/v1/embeddings", {"input": [{"image": "A" * 9_999}]}, MEDIA_TOKENS),
        ("/v1/moderations", {"input": [{"type": "text", "text": "x" * 35}, IMAGE]}, 10 + MEDIA_TOKENS),
        ("/v1/completions", {"prompt": ["x" * 35, "x" * 35]}, 20),
        ("/v1/completions", {"prompt": "x" * 35, "suffix": "y" * 35}, 20),
        ("/v1/responses", {"input": "x" * 35, "instructions": "y" * 35}, 3 + 20),
        ("/v1/responses", {"input": [{"role": "user", "content": "x" * 31}]}, 3 + 3 + 10),
        ("/v1/responses", {"input": [{"type": "function_call_output", "output": "x" * 35}]}, 3 + 3 + 10),
        ("/v1/messages", user("x" * 31) | {"system": "s" * 35}, 3 + 3 + 20),
    ],
)
def test_the_text_that_the_provider_reads_is_counted(path, body, expected):
    assert tokens_in(path, body) == expected


def test_tools_add_their_json_text():
    plain = tokens_in(CHAT, user("hi"))
    assert tokens_in(CHAT, user("hi") | {"tools": [TOOL]}) - plain == pytest.approx(
        len(json.dumps([TOOL])) / 3.5, abs=4
    )


def test_tool_calls_of_a_message_are_counted():
    called = user(None, tool_calls=[{"function": {"arguments": "x" * 700}}])
    assert tokens_in(CHAT, called) - tokens_in(CHAT, user(None)) == pytest.approx(210, abs=5)


def test_an_unknown_endpoint_is_estimated_by_its_size():
    assert estimate("/v1/rerank", {"query": "q"}, 3_500).input_tokens == 1_000


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (CHAT, {}, DEFAULT_OUTPUT_TOKENS),
        (CHAT, {"n": 3}, 3 * DEFAULT_OUTPUT_TOKENS),
        (CHAT, {"max_tokens": 10}, 10),
        (CHAT, {"max_completion_tokens": 10, "n": 4}, 40),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 20}, 20),
        (CHAT, {"max_tokens": 10, "n": "many"}, 10),
        (CHAT, {"max_tokens": 10, "n": True}, 10),
        (CHAT, {"max_tokens": None, "n": None}, DEFAULT_OUTPUT_TOKENS),
        ("/v1/responses", {"max_output_tokens": 7}, 7),
        ("/v1/completions", {"max_tokens": 10, "n": 2, "best_of": 5}, 50),
        ("/v1/completions", {"max_tokens": 10, "prompt": ["a", "b", "c"]}, 30),
        ("/v1/completions", {"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        ("/v1/completions", {"max_tokens": 10, "prompt": [[1], [2]]}, 20),
        ("/v1/embeddings", {"max_tokens": 10}, 0),
        ("/v1/moderations", {}, 0),
        (CHAT, {"max_tokens": 10**30}, 2**31 - 1),
    ],
)
def test_output_is_the_maximum_times_the_answers_asked_for(path, body, expected):
    assert tokens_out(path, body) == expected


@given(st.text(max_size=300))
def test_a_text_counts_its_utf_8_bytes_by_three_and_a_half_rounded_up(text):
    assert tokens_in("/v1/embeddings", {"input": text}) == -(-len(text.encode()) * 2 // 7)
