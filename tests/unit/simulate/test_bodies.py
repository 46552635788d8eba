"""Valid and invalid bodies of the endpoints, and what a body may cost."""

import json
from typing import Any

import pytest

from batcher.domain.lanes import Charge
from batcher.simulate.bodies import PATHS, Body, charge_of, read_body
from batcher.simulate.problems import Problem

CHAT = "/v1/chat/completions"
HELLO = {"model": "m", "messages": [{"role": "user", "content": "12345678"}]}


def read(path: str, body: dict[str, Any]) -> Body:
    found = read_body(path, json.dumps(body).encode())
    assert not isinstance(found, Problem)
    return found


def problem(path: str, body: object) -> Problem:
    found = read_body(path, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(found, Problem)
    assert found.status == 400
    assert found.kind == "invalid_request_error"
    return found


@pytest.mark.parametrize(
    ("path", "body", "charge"),
    [
        (CHAT, HELLO, (3 + 3 + 1 + 2, 16)),
        (CHAT, HELLO | {"max_tokens": 100}, (9, 100)),
        (CHAT, HELLO | {"max_tokens": 100, "max_completion_tokens": 50, "n": 3}, (9, 150)),
        (CHAT, HELLO | {"max_tokens": None, "n": None}, (9, 16)),
        ("/v1/completions", {"model": "m", "prompt": "12345", "max_tokens": 5, "n": 2, "best_of": 4}, (2, 20)),
        ("/v1/completions", {"model": "m", "prompt": ["1234", "1234"], "max_tokens": 5}, (2, 10)),
        ("/v1/embeddings", {"model": "m", "input": ["1234", "12345"]}, (3, 0)),
        ("/v1/embeddings", {"model": "m", "input": [11, 12, 13]}, (3, 0)),
        ("/v1/responses", {"model": "m", "input": "1234", "instructions": "1234"}, (5, 16)),
        ("/v1/moderations", {"input": "1234"}, (1, 0)),
    ],
)
def test_a_body_may_cost_its_prompt_and_all_the_output_it_allows(
    path: str, body: dict[str, Any], charge: tuple[int, int]
) -> None:
    assert charge_of(read(path, body), 4.0) == Charge(input_tokens=charge[0], output_tokens=charge[1])


def test_an_image_costs_a_flat_number_of_tokens_however_long_its_base64() -> None:
    parts = [
        {"type": "text", "text": "1234"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}},
    ]
    body = read(CHAT, {"model": "m", "messages": [{"role": "user", "content": parts}]})
    assert charge_of(body, 4.0).input_tokens == 3 + 3 + 1 + 1 + 85


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"model": None}, "model", "invalid_value"),
        ({"model": ""}, "model", None),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hi"}, "messages", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": "8"}, "max_tokens", "invalid_value"),
        ({"temperature": 7}, "temperature", "invalid_value"),
        ({"stream": True}, "stream", "unsupported_value"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], param: str, code: str | None) -> None:
    found = problem(CHAT, HELLO | change)
    assert (found.param, found.code) == (param, code)


@pytest.mark.parametrize(
    ("path", "missing"),
    [(CHAT, "messages"), ("/v1/completions", "prompt"), ("/v1/embeddings", "input"), ("/v1/responses", "input")],
)
def test_a_missing_field_is_named(path: str, missing: str) -> None:
    found = problem(path, {"model": "m"})
    assert found.message == f"Missing required parameter: '{missing}'."
    assert (found.param, found.code) == (missing, "missing_required_parameter")


@pytest.mark.parametrize("path", sorted(PATHS - {"/v1/moderations"}))
def test_a_missing_model_is_reported_in_openais_words(path: str) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "input": "hi"}
    assert problem(path, body).message == "you must provide a model parameter"


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b'{"model": NaN}', b"\xff\xfe"])
def test_what_is_no_json_object_is_rejected(raw: bytes) -> None:
    assert problem(CHAT, raw).message
