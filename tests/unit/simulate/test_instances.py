"""Instances of JSON schemas are valid for the schemas that structured outputs allow."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulate.instances import SchemaError, instance_of

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["name", "next"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["only"]}, "only"),
        ({"type": "null"}, None),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "integer", "minimum": 4, "maximum": 4}, 4),
        ({"type": "integer", "exclusiveMinimum": 20, "exclusiveMaximum": 22}, 21),
        ({"type": "integer", "minimum": 15, "multipleOf": 7}, 21),
        ({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"anyOf": [{"const": "first"}, {"const": "second"}]}, "first"),
        ({"type": ["string", "null"], "enum": ["x"]}, "x"),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"const": "there"}}}, "there"),
        ({"properties": {"a": True}}, {"a": None}),
    ],
)
def test_a_schema_with_one_answer_gets_it(schema: dict[str, Any], value: object) -> None:
    assert instance_of(schema, b"seed") == value


@given(seed=st.binary(max_size=8), low=st.integers(-50, 50), span=st.integers(0, 50))
def test_numbers_stay_within_their_bounds(seed: bytes, low: int, span: int) -> None:
    for kind in ("integer", "number"):
        found = instance_of({"type": kind, "minimum": low, "maximum": low + span}, seed)
        assert isinstance(found, int | float)
        assert low <= found <= low + span


@given(seed=st.binary(max_size=8), least=st.integers(0, 300))
def test_strings_are_as_long_as_they_must_be(seed: bytes, least: int) -> None:
    found = instance_of({"type": "string", "minLength": least, "maxLength": least + 5}, seed)
    assert isinstance(found, str)
    assert least <= len(found) <= least + 5


def test_a_schema_that_holds_itself_ends() -> None:
    found = instance_of(TREE, b"seed")
    depth = 0
    while found is not None:
        assert isinstance(found, dict)
        found, depth = found["next"], depth + 1
    assert depth > 1


def test_every_property_is_there_and_the_choice_depends_on_the_seed() -> None:
    schema = {"type": "object", "properties": {"label": {"enum": list(range(20))}, "yes": {"type": "boolean"}}}
    found = [instance_of(schema, bytes([seed])) for seed in range(20)]
    assert all(isinstance(one, dict) and one.keys() == {"label", "yes"} for one in found)
    assert len({repr(one) for one in found}) > 5


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"properties": 3}, {"type": "string", "minLength": "x"}])
def test_what_cannot_be_walked_is_an_error_that_says_so(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match=re.compile("schema")):
        instance_of(schema, b"seed")
