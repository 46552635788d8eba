"""JSON is read strictly at first, then as leniently as its usual readers do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.lenient_json import NOT_JSON, read_json


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'{"a": "great job \\ud83d"}', {"a": "great job \ufffd"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": -Infinity, "b": NaN, "c": 1e999}', {"a": None, "b": None, "c": None}),
        (b'{"a": "x\ty\nz"}', {"a": "x\ty\nz"}),
        (b'{"a": 1}\n\ndata: [DONE]\n\n', {"a": 1}),
        (b'  [1, "\\udc00"] ', [1, "\ufffd"]),
    ],
)
def test_what_the_usual_readers_read_is_read(body, document):
    assert read_json(body) == document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"<html>",
        b'{"a": 1',
        b'{"a": 1} and more',
        b'{"a": 1}{"b": 2}',
        b'data: {"a": 1}\n\ndata: [DONE]\n\n',
        b'{"a": "\xff"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a": ' * 100_000,
    ],
)
def test_what_no_reader_reads_is_not_json(body):
    assert read_json(body) is NOT_JSON


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"a": text})[:-1].encode()))
def test_no_body_raises_and_what_is_read_can_be_stored(body):
    found = read_json(body)
    if found is not NOT_JSON:
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
