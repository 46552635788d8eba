"""Result and error lines: one JSON document a line, the provider's own bytes within."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.domain.requests import BadLine
from batcher.policy.output.jsonl import body_json, error_line, rejected_line, result_line


def result(**changes):
    fields = {
        "request_id_public": "batch_req_1",
        "custom_id": "row-1",
        "status": 200,
        "provider_request_id": "req_1",
        "body": b'{"a": 1}',
        "cached": False,
        "attempts": 1,
        "latency_us": 800_000,
        "answered_by": None,
    }
    return result_line(**{**fields, **changes})


def error(**changes):
    fields = {
        "request_id_public": "batch_req_1",
        "custom_id": "row-1",
        "status": 400,
        "provider_request_id": None,
        "body": b'{"error": {}}',
        "code": "context_length_exceeded",
        "message": "too long",
        "kind": "permanent",
        "cached": False,
        "attempts": 1,
        "latency_us": 1,
        "answered_by": None,
    }
    return error_line(**{**fields, **changes})


def test_a_result_line_is_the_openai_batch_output_line():
    assert result() == (
        b'{"id": "batch_req_1", "custom_id": "row-1", "response": {"status_code": 200, "request_id": "req_1", '
        b'"body": {"a": 1}}, "error": null, "batcher": {"cached": false, "attempts": 1, "latency_seconds": 0.8}}\n'
    )


def test_a_cached_result_names_the_row_that_answered():
    facts = json.loads(result(cached=True, answered_by=(3, 'a"b')))["batcher"]
    assert facts["cached"] is True
    assert facts["answered_by"] == {"job": 3, "custom_id": 'a"b'}


def test_an_error_line_holds_the_last_reply_and_the_error():
    assert json.loads(error()) == {
        "id": "batch_req_1",
        "custom_id": "row-1",
        "response": {"status_code": 400, "request_id": None, "body": {"error": {}}},
        "error": {"code": "context_length_exceeded", "message": "too long", "kind": "permanent", "attempts": 1},
        "batcher": {"cached": False, "attempts": 1, "latency_seconds": 1e-06},
    }


def test_an_error_without_a_reply_has_a_null_response():
    assert json.loads(error(status=None, body=None))["response"] is None


def test_a_reply_without_a_body_has_a_null_body():
    assert json.loads(error(body=None))["response"]["body"] is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            b'{"a": 1.0, "b": 12345678901234567890123, "a": 1E5}',
            b'{"a": 1.0, "b": 12345678901234567890123, "a": 1E5}',
        ),
        (b'{\n  "a": 1\r\n}\n', b'{   "a": 1  }'),
        (b" \t[1]\n", b"[1]"),
        (b'{"a": "\\n\\r"}', b'{"a": "\\n\\r"}'),
        (b'{"a": "\\ud83d"}', b'{"a": "\\ud83d"}'),
        (b'{"a": 1e999}', b'{"a": 1e999}'),
        ('{"a": "é\u2028"}'.encode(), '{"a": "é\u2028"}'.encode()),
        (b"null", b"null"),
        (None, b"null"),
        (b"", b'""'),
        (b"<html>\n</html>", b'"<html>\\n</html>"'),
        (b'{"a": NaN}', b'{"a": null}'),
        (b'{"a": "x\ny"}', b'{"a": "x\\ny"}'),
        (b'{"a": 1}\n\ndata: [DONE]\n\n', b'{"a": 1}'),
        (b'{"a": 1} {"b": 2}', b'"{\\"a\\": 1} {\\"b\\": 2}"'),
        (b'{"a": "\xff"}', '"{\\"a\\": \\"\ufffd\\"}"'.encode()),
        (b"\xef\xbb\xbf{}", b"{}"),
    ],
)
def test_a_body_stands_as_its_own_bytes_or_as_a_string(body, shown):
    assert body_json(body) == shown


def test_a_reply_nested_past_all_measure_becomes_a_string():
    body = b"[" * 100_000 + b"]" * 100_000
    assert json.loads(body_json(body)) == body.decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON, st.sampled_from([None, 1, "\t", "\r\n"]), st.booleans(), st.text())
def test_any_json_reply_stands_on_one_line_with_its_value_unchanged(value, indent, escape, custom_id):
    body = json.dumps(value, indent=indent, ensure_ascii=escape).encode()
    line = result(body=body, custom_id=custom_id)
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    document = json.loads(line)
    assert document["response"]["body"] == value
    assert document["custom_id"] == custom_id


@settings(deadline=None)
@given(st.binary(max_size=40), st.text(), st.integers(0, 10**12))
def test_whatever_came_back_the_line_is_one_json_document(body, message, latency_us):
    line = error(body=body, message=message, latency_us=latency_us)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    document = json.loads(line)
    assert document["error"]["message"] == message
    assert document["batcher"]["latency_seconds"] == pytest.approx(latency_us / 1e6)


def test_a_rejected_line_says_where_and_why_and_shows_its_text():
    bad = BadLine(line=7, reason="not JSON", text='{"a\u2028\n"', custom_id=None)
    line = rejected_line(bad, request_id_public="batch_req_x")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "id": "batch_req_x",
        "custom_id": "line-7",
        "response": None,
        "error": {"code": "invalid_line", "message": "not JSON", "kind": "invalid", "attempts": 0},
        "batcher": {"cached": False, "attempts": 0, "latency_seconds": 0.0, "line": 7, "text": bad.text},
    }


def test_a_rejected_line_keeps_the_custom_id_that_could_be_read():
    bad = BadLine(line=7, reason="r", text="t", custom_id="mine")
    assert json.loads(rejected_line(bad, request_id_public="x"))["custom_id"] == "mine"
