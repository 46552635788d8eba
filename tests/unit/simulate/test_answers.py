"""Answers look like the provider's, are reproducible, and match the request."""

import base64
import json
import struct
from typing import Any

import msgspec
import pytest

from batcher.simulate.answers import Answer, Style, answer
from batcher.simulate.bodies import read_body
from batcher.simulate.draws import digest
from batcher.simulate.problems import Problem

CHAT, EMBED, RESPOND = "/v1/chat/completions", "/v1/embeddings", "/v1/responses"
HELLO = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Sort this ticket."}]}
SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}, "required": ["label"]}


def ask(path: str, body: dict[str, Any], style: Style | None = None) -> Answer:
    raw = json.dumps(body).encode()
    read = read_body(path, raw)
    assert not isinstance(read, Problem)
    return answer(read, digest(raw), style or Style())


def test_the_same_body_gets_the_same_bytes() -> None:
    assert msgspec.json.encode(ask(CHAT, HELLO).body) == msgspec.json.encode(ask(CHAT, HELLO).body)


def test_other_bodies_get_other_answers() -> None:
    texts = {ask(CHAT, HELLO | {"seed": seed}).body["choices"][0]["message"]["content"] for seed in range(50)}
    assert len(texts) > 40


def test_a_chat_answer_has_the_keys_that_openai_sends() -> None:
    body = ask(CHAT, HELLO).body
    assert body.keys() >= {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert (body["object"], body["model"]) == ("chat.completion", "gpt-4o-mini")
    choice = body["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"].endswith(".")
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("most", [1, 3, 7])
def test_a_maximum_cuts_the_answer_and_says_so(most: int) -> None:
    found = ask(CHAT, HELLO | {"max_tokens": most})
    choice = found.body["choices"][0]
    assert choice["finish_reason"] == "length"
    assert len(choice["message"]["content"]) == 4 * most
    assert found.body["usage"]["completion_tokens"] == found.output_tokens == most


def test_several_choices_differ_and_are_all_counted() -> None:
    found = ask(CHAT, HELLO | {"n": 3})
    texts = [choice["message"]["content"] for choice in found.body["choices"]]
    assert len(set(texts)) == 3
    assert found.output_tokens == sum(-(-len(text) // 4) for text in texts)


def test_answers_are_about_as_long_as_the_style_says() -> None:
    lengths = [ask(CHAT, HELLO | {"seed": n}, Style(output_tokens=400)).output_tokens for n in range(30)]
    assert 200 <= min(lengths) <= max(lengths) <= 640
    assert 350 <= sum(lengths) / 30 <= 450


@pytest.mark.parametrize(
    "layout",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}},
    ],
)
def test_a_json_format_is_answered_in_json(layout: dict[str, Any]) -> None:
    content = ask(CHAT, HELLO | {"response_format": layout}).body["choices"][0]["message"]["content"]
    assert isinstance(json.loads(content), dict)


def test_a_schema_is_kept_in_chats_and_in_responses() -> None:
    chat = HELLO | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}
    content = ask(CHAT, chat).body["choices"][0]["message"]["content"]
    assert json.loads(content)["label"] in {"a", "b"}
    layout = {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}
    body = ask(RESPOND, {"model": "m", "input": "hi", "text": layout}).body
    assert json.loads(body["output"][0]["content"][0]["text"])["label"] in {"a", "b"}


def test_a_response_that_is_cut_is_incomplete() -> None:
    whole = ask(RESPOND, {"model": "m", "input": "hi"}).body
    assert (whole["status"], whole["incomplete_details"]) == ("completed", None)
    cut = ask(RESPOND, {"model": "m", "input": "hi", "max_output_tokens": 2}).body
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert cut["usage"]["output_tokens"] == 2


def test_every_prompt_of_a_completion_gets_its_choices() -> None:
    body = ask("/v1/completions", {"model": "m", "prompt": ["a", "b"], "n": 2, "max_tokens": 9}).body
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    assert body["object"] == "text_completion"


def test_a_text_has_one_vector_alone_and_in_a_list() -> None:
    alone = ask(EMBED, {"model": "m", "input": "hello"}).body["data"]
    among = ask(EMBED, {"model": "m", "input": ["other", "hello"]}).body["data"]
    assert alone[0]["embedding"] == among[1]["embedding"] != among[0]["embedding"]
    assert [item["index"] for item in among] == [0, 1]
    assert sum(value**2 for value in alone[0]["embedding"]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({"model": "text-embedding-3-small"}, 1536),
        ({"model": "text-embedding-3-large"}, 3072),
        ({"model": "text-embedding-3-large", "dimensions": 8}, 8),
    ],
)
def test_a_vector_has_the_size_asked_for_or_the_models_own(body: dict[str, Any], size: int) -> None:
    assert len(ask(EMBED, body | {"input": "x"}).body["data"][0]["embedding"]) == size


def test_base64_holds_the_same_numbers_as_floats() -> None:
    body = {"model": "m", "input": "hello", "dimensions": 16}
    floats = ask(EMBED, body).body["data"][0]["embedding"]
    packed = ask(EMBED, body | {"encoding_format": "base64"}).body["data"][0]["embedding"]
    assert struct.unpack("<16f", base64.b64decode(packed)) == pytest.approx(floats, abs=1e-6)


def test_a_moderation_scores_every_input() -> None:
    body = ask("/v1/moderations", {"input": ["a", "b"]}).body
    assert [result["flagged"] for result in body["results"]] == [False, False]
    assert body["model"] == "omni-moderation-latest"
