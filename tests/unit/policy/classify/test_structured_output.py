"""Answers to requests that ask for JSON are held against what was asked for."""

import msgspec
import pytest

from batcher.domain.outcomes import Failure, Success, Usage
from batcher.domain.states import FailureKind
from batcher.policy.classify.structured_output import check_output

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 0}},
    "required": ["city"],
    "additionalProperties": False,
}
WITH_SCHEMA = {"response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}}
WITH_OBJECT = {"response_format": {"type": "json_object"}}
IN_TEXT = {"text": {"format": {"type": "json_schema", "name": "c", "schema": SCHEMA}}}
USAGE = Usage(input_tokens=3, output_tokens=4)


def chat(*contents, **message):
    choices = [{"message": {"role": "assistant", "content": content, **message}} for content in contents]
    return {"choices": choices}


def response(*texts):
    content = [{"type": "output_text", "text": text} for text in texts]
    return {"output": [{"type": "reasoning"}, {"type": "message", "content": content}]}


def with_schema(schema):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


def check(request, reply, *, truncated=False):
    success = Success(usage=USAGE, truncated=truncated)
    return check_output(success, request=msgspec.json.encode(request), reply=msgspec.json.encode(reply))


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ({}, chat("no JSON was asked for")),
        ({"response_format": {"type": "text"}}, chat("nor here")),
        ({"messages": [{"content": 'about "response_format"'}]}, chat("only spoken of")),
        ({"tools": [{"format": "x"}]}, chat("another format")),
        (WITH_SCHEMA, chat('{"city": "Bonn", "people": 3}')),
        (WITH_SCHEMA, chat('{"city": "Bonn"}', '{"city": "Ulm"}')),
        (WITH_OBJECT, chat('{"anything": [1, 2]}')),
        (WITH_SCHEMA, chat(None, refusal="I will not")),
        (WITH_SCHEMA, chat(None, tool_calls=[{"id": "1"}])),
        (IN_TEXT, response('{"city": ', '"Bonn"}')),
        (WITH_SCHEMA, chat('{"city": 7}', '{"city": "Ulm"}')),
        (WITH_OBJECT, chat("```json\n{}\n```")),
        (WITH_OBJECT, chat("```\n{}\n```\n")),
        (with_schema({"multipleOf": 0.01}), chat("19.99")),
        (with_schema({"type": "integer"}), chat("3.0")),
        (with_schema({"type": "string", "nullable": True}), chat("null")),
        (with_schema({"enum": [1.5, 2]}), chat("2.0")),
        (with_schema({"properties": {"a": {"maximum": 3}}}), chat('{"a": 2.999999999999999999999}')),
    ],
)
def test_an_answer_that_is_what_was_asked_for_is_delivered(request_, reply):
    assert check(request_, reply) == Success(usage=USAGE)


@pytest.mark.parametrize(
    ("request_", "reply", "told"),
    [
        (WITH_SCHEMA, chat("Bonn is a city"), "is not JSON"),
        (WITH_SCHEMA, chat('{"people": 3}'), "'city' is a required property"),
        (WITH_SCHEMA, chat('{"city": "Bonn", "people": "three"}'), "$.people"),
        (WITH_SCHEMA, chat('{"city": 8}', '{"city": 7}'), "$.city"),
        (with_schema({"multipleOf": 0.01}), chat("19.999"), "19.999 is not a multiple of 0.01"),
        (with_schema({"type": "integer"}), chat("3.5"), "3.5 is not of type 'integer'"),
        (with_schema({"type": "integer"}), chat("true"), "True is not of type 'integer'"),
        (WITH_OBJECT, chat("[1]"), "is not of type 'object'"),
        (WITH_OBJECT, chat("Here it is:\n```json\n{}\n```"), "is not JSON"),
        (IN_TEXT, response('{"city": 7}'), "$.city"),
    ],
)
def test_an_answer_that_is_not_is_tried_again_and_says_where_it_fails(request_, reply, told):
    outcome = check(request_, reply)
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.code, outcome.usage) == (FailureKind.TRANSIENT, "invalid_output", USAGE)
    assert told in outcome.message


def test_an_answer_cut_at_its_limit_is_not_asked_for_again():
    outcome = check(WITH_SCHEMA, chat('{"city": "Bo'), truncated=True)
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.PERMANENT
    assert "allow more tokens" in outcome.message


def test_a_cut_answer_that_fits_all_the_same_is_delivered():
    assert check(WITH_OBJECT, chat("{}"), truncated=True) == Success(usage=USAGE, truncated=True)


@pytest.mark.parametrize(
    ("schema", "answer"),
    [
        ({"type": "no such type"}, "{}"),
        ({"$ref": "http://127.0.0.1:9/x"}, "{}"),
        ({"$ref": "#"}, "{}"),
        ({"$ref": "#/nowhere"}, "{}"),
        ({"pattern": "("}, '"x"'),
        ({"pattern": "^\\p{L}+$"}, '"x"'),
        ({"type": "array"}, "[" * 5_000 + "]" * 5_000),
        ({"$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}, "[" * 400 + "]" * 400),
    ],
)
def test_an_answer_that_cannot_be_validated_is_delivered_and_marked(schema, answer):
    outcome = check(with_schema(schema), chat(answer))
    assert outcome == Success(usage=USAGE, unchecked=True)
