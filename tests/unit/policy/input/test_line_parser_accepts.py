"""Lines that pass, and the bytes that are sent for them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.domain.requests import BadLine, ParsedLine
from batcher.policy.api_paths import normal_path
from batcher.policy.input.line_parser import parse_line

MESSAGES = b'"messages": [{"role": "user", "content": "hi"}]'
BODY = b'{"model": "m", ' + MESSAGES + b"}"


def parsed(raw, *, line=1, default_path=None):
    found = parse_line(raw, line=line, default_path=default_path)
    assert isinstance(found, ParsedLine), found
    return found


def in_envelope(body, url=b"/v1/chat/completions"):
    return b'{"custom_id": "a", "method": "POST", "url": "%b", "body": %b}' % (url, body)


def with_message(text):
    return b'{"model": "m", "messages": [{"role": "user", "content": "hi"}, %b]}' % text


@pytest.mark.parametrize(
    "body",
    [
        BODY,
        b'{"model":"m","seed":123456789012345678901234567890,' + MESSAGES + b"}",
        b'{ "temperature" : 1.0 , "top_p": 1E-1, "model" : "m",\t' + MESSAGES + b" }",
        b'{"z": -0.0, "a": 1e5, "m\\u006fdel": "\\u006d", "model": "m", ' + MESSAGES + b"}",
        b'{"model": "m", "model": "m", ' + MESSAGES + b"}",
        b'{"model": "m", "stream": false, "background": null, "max_tokens": null, ' + MESSAGES + b"}",
        b'{"model": "m", "stream": null, "max_tokens": 1, ' + MESSAGES + b"}",
        b'{"model": "m", "x": 1' + b"0" * 308 + b", " + MESSAGES + b"}",
        b'{"model": "m", "x": "' + b"1" * 400 + b'", ' + MESSAGES + b"}",
        b'{"model": "m", "x": 0.' + b"1" * 400 + b", " + MESSAGES + b"}",
        b'{"model": "m", "x": "' + b"[{" * 200 + b'\\"[[[", ' + MESSAGES + b"}",
        b'{"model": "m", "x": [' + b"[],{}," * 200 + b"1], " + MESSAGES + b"}",
        b'{"model": "m", "x": ' + b"[" * 98 + b"]" * 98 + b", " + MESSAGES + b"}",
        '{"model": "m", "x": "é 😀 \u2028 \\ud83d\\ude00 \\ud83d\\ude00", '.encode() + MESSAGES + b"}",
        with_message(b'{"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}'),
        with_message(b'{"role": "assistant", "function_call": {"name": "f"}}'),
        with_message(b'{"role": "assistant", "refusal": "no"}'),
        with_message(b'{"role": "assistant", "audio": {"id": "x"}}'),
        with_message(b'{"role": "assistant", "content": ""}'),
        with_message(b'{"role": "function", "name": "f", "content": null}'),
        with_message(b'{"role": "user", "content": [{"type": "text", "text": "x"}]}'),
    ],
)
def test_the_body_of_a_batch_line_is_the_files_own_bytes(body):
    assert parsed(in_envelope(body)).body == body


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        (b"/v1/embeddings", b'{"model": "e", "input": ["a", "b"]}', "e"),
        (b"/v1/embeddings", b'{"model": "e", "input": [1, 2]}', "e"),
        (b"/v1/completions", b'{"model": "c", "prompt": ""}', "c"),
        (b"/v1/responses", b'{"model": "r", "input": [{"role": "user", "content": "x"}]}', "r"),
        (b"/v1/responses", b'{"model": "r", "prompt": {"id": "pmpt_1"}}', "r"),
        (b"/v1/responses", b'{"model": "r", "previous_response_id": "resp_1"}', "r"),
        (b"/v1/moderations", b'{"input": "x"}', ""),
        (b"/v1/moderations", b'{"model": null, "input": "x"}', ""),
        (b"/v1/images/generations", b"{}", ""),
        (b"/v1/rerank", b'{"model": "rr", "max_tokens": "any"}', "rr"),
        (b"/v1/models/a-b_c.d:e", b'{"model": 3}', ""),
    ],
)
def test_other_endpoints_are_taken_with_what_they_need(path, body, model):
    found = parsed(in_envelope(body, path))
    assert (found.path, found.model, found.body) == (path.decode(), model, body)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/embeddings", "/v1/embeddings"),
        ("/responses", "/v1/responses"),
        ("/v1/a.b/c", "/v1/a.b/c"),
        ("/v1/a..b", None),
        ("/v1/./chat", None),
        ("/v1//chat", None),
        ("/v1", None),
        ("/other", "/other"),
        ("/v2/rerank", "/v2/rerank"),
        ("/v4/chat/completions", "/v4/chat/completions"),
        ("/openai/deployments/gpt-4o/chat/completions", "/openai/deployments/gpt-4o/chat/completions"),
        ("/v4", None),
        ("other", None),
        ("//other/v1", None),
        ("", None),
    ],
)
def test_urls_become_plain_paths(url, path):
    assert normal_path(url) == path


def test_fields_beside_the_four_are_left_alone():
    raw = b'{"z": 1, "custom_id": "a", "method": "POST", "url": "/v1/x", "body": {"body": {"url": 1}}, "y": []}'
    assert parsed(raw).body == b'{"body": {"url": 1}}'


def test_whitespace_around_a_line_and_within_its_envelope_is_no_matter():
    raw = b' \t{ "body" : ' + BODY + b' ,"url":"/v1/chat/completions", "method" :"POST","custom_id": "a" } \r'
    assert parsed(raw).body == BODY


def test_a_custom_id_may_have_512_characters_of_any_kind():
    raw = json.dumps({"custom_id": "😀" * 512, "method": "POST", "url": "/v1/x", "body": {}}).encode()
    assert parsed(raw).custom_id == "😀" * 512


def test_nesting_of_100_levels_is_taken():
    assert parsed(in_envelope(b'{"a": ' + b"[" * 98 + b"]" * 98 + b"}", b"/v1/x"))
    assert isinstance(
        parse_line(b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", line=1, default_path="/v1/x"), BadLine
    )


@pytest.mark.parametrize(
    ("raw", "custom_id", "body"),
    [
        (BODY, "line-9", BODY),
        (b"  " + BODY + b" \r", "line-9", BODY),
        (b'{"custom_id": "x", ' + BODY[1:], "x", BODY),
        (BODY[:-1] + b', "custom_id": "x"}', "x", BODY),
        (BODY[:-1] + b'\t,\t"custom_id":"x" }', "x", BODY[:-1] + b"\t }"),
        (b'{"model": "m", "custom_id" : "x" , ' + MESSAGES + b"}", "x", BODY),
        (b'{"custom_id": null, ' + BODY[1:], "line-9", BODY),
        (rb'{"custom\u005Fid": "x", ' + BODY[1:], "x", BODY),
        (rb'{"custom_id": "a\"}, {\\", ' + BODY[1:], 'a"}, {\\', BODY),
        (
            b'{"metadata": {"custom_id": "in"}, "custom_id": "out", "model": "m", ' + MESSAGES + b"}",
            "out",
            b'{"metadata": {"custom_id": "in"}, "model": "m", ' + MESSAGES + b"}",
        ),
        (
            b'{"user": "custom_id", "custom_id": "out", "model": "m", ' + MESSAGES + b"}",
            "out",
            b'{"user": "custom_id", "model": "m", ' + MESSAGES + b"}",
        ),
        (
            b'{"metadata": {"custom_id": "in"}, "model": "m", ' + MESSAGES + b"}",
            "line-9",
            b'{"metadata": {"custom_id": "in"}, "model": "m", ' + MESSAGES + b"}",
        ),
    ],
)
def test_the_custom_id_of_a_bare_body_is_taken_out_and_nothing_else(raw, custom_id, body):
    found = parsed(raw, line=9)
    assert (found.custom_id, found.body, found.path) == (custom_id, body, "/v1/chat/completions")


def test_a_bare_body_without_messages_goes_where_url_says():
    found = parsed(b'{"model": "m", "input": "x"}', default_path="/embeddings")
    assert (found.path, found.body) == ("/v1/embeddings", b'{"model": "m", "input": "x"}')


def test_a_bare_body_with_messages_is_a_chat_whatever_url_says():
    assert parsed(BODY, default_path="/v1/embeddings").path == "/v1/chat/completions"


def test_a_bare_body_of_nothing_but_a_custom_id_becomes_an_empty_object():
    assert parsed(b'{"custom_id": "x"}', default_path="/v1/x").body == b"{}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["custom_id", "body", "url", "method", "a", 'b"', "c\\"]) | st.text(max_size=5)
FREE = st.dictionaries(KEYS.filter(lambda key: key not in {"stream", "background"}), JSON, max_size=6)
SPACE = st.text(" \t\r", max_size=2)


@st.composite
def spelled(draw, value):
    """A JSON text of the value: spacing, escapes and number spelling as somebody's program may have them."""
    space = draw(SPACE)
    separators = (f"{space},{draw(SPACE)}", f"{space}:{draw(SPACE)}")
    return json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators).encode()


@settings(max_examples=200, deadline=None)
@given(st.data(), FREE)
def test_any_body_passes_through_an_envelope_byte_by_byte(data, document):
    body = data.draw(spelled(document))
    members = [b'"custom_id": "a"', b'"method": "POST"', b'"url": "/v1/anything"', b'"body":%b' % body]
    raw = b"{" + b" ,".join(data.draw(st.permutations(members))) + b"}"
    assert parsed(raw).body == body


@settings(max_examples=200, deadline=None)
@given(st.data(), FREE)
def test_any_bare_body_loses_its_custom_id_alone(data, document):
    rest = {
        key: value for key, value in document.items() if key not in {"custom_id", "body", "method", "messages"}
    }
    names = list(rest)
    at = data.draw(st.integers(0, len(names)))
    spell = st.booleans().flatmap(
        lambda escape: st.just(lambda value: json.dumps(value, ensure_ascii=escape).encode())
    )
    dump = data.draw(spell)
    whole = [b"%b: %b" % (dump(name), dump(rest[name])) for name in names]
    with_id = [*whole[:at], b'"custom_id": "the \\" id"', *whole[at:]]
    found = parsed(b"{" + b", ".join(with_id) + b"}", default_path="/v1/anything")
    assert found.body == b"{" + b", ".join(whole) + b"}"
    assert found.custom_id == 'the " id'


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_line_is_refused_or_means_what_the_standard_library_reads(data):
    raw = bytearray(in_envelope(b'{"a": [1.5e3, "\\ud83d\\ude00 \xc3\xa9", -0, {"b": true}]}', b"/v1/x"))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"1", b'"', b"e", b"\\", b"\xff", b"{"])
        )
    found = parse_line(bytes(raw), line=1, default_path="/v1/x")
    if isinstance(found, ParsedLine):
        document = json.loads(bytes(raw))
        assert json.loads(found.body) == document.get(
            "body", {k: v for k, v in document.items() if k != "custom_id"}
        )
