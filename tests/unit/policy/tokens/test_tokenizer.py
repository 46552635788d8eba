"""Exact token counts where the `tokens` extra is there, the byte estimate where it is not."""

import sys

import pytest

from batcher.policy.input.line_parser import parse_line
from batcher.policy.tokens import tokenizer
from batcher.policy.tokens.estimate import estimate
from batcher.policy.tokens.tokenizer import encoding_of, exact_tokens

CHAT = "/v1/chat/completions"


@pytest.fixture
def installed():
    pytest.importorskip("toktok", reason="the tokens extra is not installed")
    tokenizer.counter.cache_clear()


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "toktok", None)
    tokenizer.counter.cache_clear()
    yield
    tokenizer.counter.cache_clear()


def said(role, content, **more):
    return {"role": role, "content": content, **more}


#: OpenAI's cookbook, "How to count tokens with tiktoken": 129 and 124 are what the API returned for it.
EXAMPLE = [
    said(
        "system",
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    said("system", "New synergies will help drive top-line growth.", name="example_user"),
    said("system", "Things working well together will increase revenue.", name="example_assistant"),
    said(
        "system",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
        name="example_user",
    ),
    said(
        "system",
        "Let's talk later when we're less busy about how to do better.",
        name="example_assistant",
    ),
    said(
        "user",
        "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    ),
]


def tokens_in(path, body):
    return estimate(path, body, 1_000).input_tokens


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo-2024-04-09", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("gpt-5-mini", "o200k_base"),
        ("gpt-6-astra", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("o1", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("ft:gpt-4o-mini:acme::x", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("gpt-neox-20b", None),
        ("gpt-j-6b", None),
        ("o1x", None),
        ("olmo-2", None),
        ("claude-sonnet-4-5", None),
        ("llama-3.3-70b", None),
        ("", None),
    ],
)
def test_the_encoding_is_known_of_openais_models_alone(model, encoding):
    assert encoding_of(model) == encoding


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("model", "tokens"), [("gpt-4", 129), ("gpt-4o", 124)])
def test_a_chat_of_text_counts_what_the_provider_counts(model, tokens):
    assert tokens_in(CHAT, {"model": model, "messages": EXAMPLE}) == tokens


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("path", "body", "tokens"),
    [
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": ["hello world", "how many tokens?"]}, 6),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": [[1, 2], [3]]}, 3),
        ("/v1/responses", {"model": "gpt-4o", "input": "hello world"}, 3 + 2),
        (CHAT, {"model": "gpt-4o", "messages": [said("user", "hello world <|endoftext|>")]}, 3 + 3 + 1 + 9),
        (CHAT, {"model": "gpt-4o", "messages": [said("user", [{"type": "text", "text": "hello world"}])]}, 9),
    ],
)
def test_texts_are_counted_one_by_one_and_the_rest_as_ever(path, body, tokens):
    assert tokens_in(path, body) == tokens


@pytest.mark.usefixtures("installed")
def test_half_a_character_is_counted_and_stops_nothing():
    assert exact_tokens(["hello", "a\ud800b"], "gpt-4o") == exact_tokens(["hello", "a?b"], "gpt-4o")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("model", ["llama-3.3-70b", None, 4])
def test_other_models_are_estimated_from_bytes(model):
    body = {"model": model, "messages": [said("user", "x" * 31)]}
    assert tokens_in(CHAT, body) == 3 + 3 + 10


@pytest.mark.usefixtures("absent")
def test_without_the_extra_bytes_are_what_is_counted():
    assert exact_tokens(["x"], "gpt-4o") is None
    assert tokens_in(CHAT, {"model": "gpt-4o", "messages": [said("user", "x" * 31)]}) == 3 + 3 + 10


@pytest.mark.usefixtures("installed")
def test_the_door_counts_exactly():
    line = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello world"}]}'
    parsed = parse_line(line, line=1, default_path=None)
    assert getattr(parsed, "est_input", None) == 3 + 3 + 1 + 2
