"""Every kind of line that is refused, with its reason."""

import json

import pytest

from batcher.domain.requests import BadLine, ParsedLine
from batcher.policy.input.foreign_forms import Form
from batcher.policy.input.line_parser import parse_body, parse_line, refuse_too_long

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def envelope(**changes):
    """An OpenAI batch line as bytes; a change to `...` takes the field out."""
    fields = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT, **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()


def chat(**changes):
    return envelope(body={key: value for key, value in {**CHAT, **changes}.items() if value is not ...})


def to(url, **body):
    return envelope(url=url, body=body)


def raw_body(text):
    return b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": %b}' % text


def with_extra(text):
    return raw_body(b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "x": %b}' % text)


def message(**fields):
    return chat(messages=[{"role": "user", "content": "hi"}, fields])


NO_CONTENT = "`messages[1]` has no `content`"
PLAIN = "`url` must be a plain path"
POSITIVE = "must be a positive integer"
LONE = "a lone surrogate"

BROKEN = {
    "latin-1": (b'{"custom_id": "\xe9"}', "not UTF-8 (byte 16); save the file as UTF-8"),
    "bad UTF-8 in the body": (with_extra(b'"\xff"'), "not UTF-8"),
    "an encoded surrogate": (with_extra(b'"\xed\xa0\x80"'), "not UTF-8"),
    "bad UTF-8 in an unknown field": (b'{"zz": "\xff", ' + envelope()[1:], "not UTF-8"),
    "text": (b"hello", "not JSON: expecting value (character 1)"),
    "a comma too many": (b'{"a": 1,}', "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON: expecting property name enclosed in double quotes (character 2)"),
    "cut off": (b'{"custom_id": "a", ', "not JSON: it ends too early; a request must be complete on one line"),
    "the first line of a pretty-printed file": (b"{", "not JSON: it ends too early"),
    "two documents": (envelope() + envelope(), "not JSON: two or more requests on one line"),
    "a control character": (with_extra(b'"\x01"'), "not JSON: invalid control character (character"),
    "a bad escape": (with_extra(rb'"\x41"'), "not JSON"),
    "a list": (b"[1]", "not a JSON object; a line is one request, in braces"),
    "null": (b"null", "not a JSON object"),
    "a string": (b'"body"', "not a JSON object"),
    "NaN": (with_extra(b"NaN"), "NaN is not JSON; use a number, a string or null"),
    "Infinity": (with_extra(b"Infinity"), "Infinity is not JSON"),
    "minus Infinity": (with_extra(b"[-Infinity]"), "-Infinity is not JSON"),
    "1e999": (with_extra(b"1e999"), "the number 1e999 is beyond a double; use a smaller one, or a string"),
    "-1e999 deep within": (with_extra(b'{"a": [{"b": -1e999}]}'), "the number -1e999 is beyond a double"),
    "1e999 beside the body": (b'{"zz": 1e999, ' + envelope()[1:], "the number 1e999 is beyond a double"),
    "1e999 as a maximum": (raw_body(b'{"max_tokens": 1e999}'), "the number 1e999 is beyond a double"),
    "an integer beyond a double": (
        with_extra(b"1" + b"0" * 309),
        "the number 10000000000000000000… is beyond a double",
    ),
    "a negative one": (with_extra(b"[-" + b"9" * 309 + b"]"), "beyond a double"),
    "an integer of 5,000 digits": (with_extra(b"7" * 5000), "beyond a double"),
    "a lone high surrogate": (
        with_extra(rb'"\ud800"'),
        r"a lone surrogate (\ud800) is half a character; remove it",
    ),
    "a lone low surrogate": (with_extra(rb'"a\uDFFFb"'), r"a lone surrogate (\uDFFF)"),
    "a pair the wrong way round": (with_extra(rb'"\udc00\ud800"'), LONE),
    "a high one before a pair": (with_extra(rb'"\ud800\ud83d\ude00"'), LONE),
    "a lone surrogate in a key": (with_extra(rb'{"\ud83d": 1}'), LONE),
    "a lone surrogate in the custom_id": (rb'{"custom_id": "\ud83d", ' + envelope(custom_id=...)[1:], LONE),
    "101 levels": (with_extra(b"[" * 99 + b"]" * 99), "nested more than 100 levels deep; flatten it"),
    "101 levels of objects": (with_extra(b'{"a":' * 98 + b"{}" + b"}" * 98), "nested more than 100 levels deep"),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, "nested more than 100 levels deep"),
    "100,000 levels that are not closed": (b"[" * 100_000, "nested more than 100 levels deep"),
    "no custom_id": (envelope(custom_id=...), "`custom_id` is missing; give each line its own"),
    "a null custom_id": (envelope(custom_id=None), "`custom_id` is missing"),
    "a number as custom_id": (envelope(custom_id=7), "`custom_id` must be a string; put it in quotes"),
    "an empty custom_id": (envelope(custom_id=""), "`custom_id` is empty"),
    "a custom_id of 513": (
        envelope(custom_id="é" * 513),
        "`custom_id` has 513 characters; at most 512 are allowed",
    ),
    "a custom_id twice": (
        b'{"custom_id": "b", ' + envelope()[1:],
        "`custom_id` occurs twice in the line; keep one",
    ),
    "a body twice": (b'{"body": {}, ' + envelope()[1:], "`body` occurs twice"),
    "a body twice, once spelled in escapes": (rb'{"bod\u0079": {}, ' + envelope()[1:], "`body` occurs twice"),
    "a url twice": (envelope()[:-1] + b', "url": "/v1/embeddings"}', "`url` occurs twice"),
    "no method": (envelope(method=...), '`method` is missing; add "method": "POST"'),
    "GET": (envelope(method="GET"), '`method` must be "POST"'),
    "post": (envelope(method="post"), '`method` must be "POST"'),
    "no url": (envelope(url=...), '`url` is missing; add the endpoint, such as "url": "/v1/chat/completions"'),
    "a number as url": (envelope(url=1), PLAIN),
    "an absolute url": (
        envelope(url="https://evil.example/v1/chat/completions"),
        f"{PLAIN}: write /v1/chat/completions; the server belongs in the base URL",
    ),
    "a url of another host": (envelope(url="//evil.example/v1/chat/completions"), PLAIN),
    "a url with an @": (envelope(url="/v1/@evil.example"), PLAIN),
    "dots": (envelope(url="/v1/../admin"), PLAIN),
    "dots at the end": (envelope(url="/v1/chat/.."), PLAIN),
    "a query": (
        envelope(url="/v1/chat/completions?a=b"),
        f"{PLAIN}: write /v1/chat/completions; a query belongs in the base URL",
    ),
    "a fragment": (envelope(url="/v1/chat/completions#a"), PLAIN),
    "a space": (envelope(url="/v1/chat completions"), PLAIN),
    "a percent escape": (envelope(url="/v1/%2e%2e/admin"), PLAIN),
    "a line feed": (envelope(url="/v1/chat/completions\n"), PLAIN),
    "a backslash": (envelope(url="/v1/\\evil"), PLAIN),
    "letters that are not ASCII": (envelope(url="/v1/chät"), PLAIN),
    "a version alone": (envelope(url="/v4"), PLAIN),
    "nothing under /v1/": (envelope(url="/v1/"), PLAIN),
    "a path without a slash": (
        envelope(url="v1/chat/completions"),
        f"{PLAIN}: the / at its start is missing; write /v1/chat/completions",
    ),
    "a string as body": (envelope(body="{}"), "`body` must be an object"),
    "a list as body": (envelope(body=[CHAT]), "`body` must be an object"),
    "a null body": (envelope(body=None), "`body` must be an object"),
    "a batch line without a body": (envelope(body=...), "`body` is missing; a batch line has `custom_id`"),
    "a stream": (chat(stream=True), '`"stream": true` cannot be run as a batch; remove it'),
    "a stream to an unknown endpoint": (to("/v1/other", stream=True), '`"stream": true` cannot be run'),
    "in the background": (chat(background=True), '`"background": true` cannot be run as a batch; remove it'),
    "no model": (chat(model=...), "`model` is missing"),
    "a null model": (chat(model=None), "`model` is missing"),
    "an empty model": (chat(model=""), "`model` must be a non-empty string"),
    "a number as model": (chat(model=4), "`model` must be a non-empty string"),
    "no messages": (chat(messages=...), "`messages` is missing"),
    "empty messages": (
        chat(messages=[]),
        "`messages` must be a non-empty list of objects with `role` and `content`",
    ),
    "a string as messages": (chat(messages="hi"), "`messages` must be a non-empty list"),
    "a string as message": (chat(messages=["hi"]), "`messages[0]` must be an object with `role` and `content`"),
    "no role": (message(content="x"), "`messages[1]` has no `role`"),
    "an empty role": (message(role="", content="x"), "`messages[1].role` must be a non-empty string"),
    "no content": (message(role="user"), NO_CONTENT),
    "null content": (message(role="user", content=None), NO_CONTENT),
    "empty tool calls": (message(role="assistant", tool_calls=[]), NO_CONTENT),
    "a function without content": (message(role="function", name="f"), NO_CONTENT),
    "a number as content": (message(role="user", content=5), "`messages[1].content` must be a string or a list"),
    "max_tokens 0": (chat(max_tokens=0), f"`max_tokens` {POSITIVE}"),
    "max_tokens true": (chat(max_tokens=True), f"`max_tokens` {POSITIVE}"),
    "max_tokens 1.5": (chat(max_tokens=1.5), f"`max_tokens` {POSITIVE}"),
    "max_tokens 100.0": (chat(max_tokens=100.0), f"`max_tokens` {POSITIVE}; it is 100.0, a number with a decimal"),
    "max_tokens -1 at OpenAI": (chat(max_tokens=-1), f"`max_tokens` {POSITIVE}; it is -1"),
    "max_tokens 0 without echo": (to("/v1/completions", model="m", prompt="x", max_tokens=0), POSITIVE),
    "a null prompt instead of a model": (to("/v1/responses", input="x", prompt=None), "`model` is missing"),
    "embeddings of empty messages": (
        to("/v1/embeddings", model="m", messages=[]),
        "`messages` must be a non-empty",
    ),
    "max_tokens as text": (chat(max_tokens="9"), f"`max_tokens` {POSITIVE}"),
    "max_completion_tokens -1": (chat(max_completion_tokens=-1), f"`max_completion_tokens` {POSITIVE}"),
    "max_output_tokens 0": (to("/v1/responses", model="m", input="x", max_output_tokens=0), "`max_output_tokens`"),
    "embeddings without input": (to("/v1/embeddings", model="m"), "`input` is missing"),
    "embeddings without model": (to("/v1/embeddings", input="x"), "`model` is missing"),
    "embeddings of a number": (to("/v1/embeddings", model="m", input=3), "`input` must be a string or a list"),
    "completions without prompt": (to("/v1/completions", model="m"), "`prompt` is missing"),
    "responses without input": (to("/v1/responses", model="m", input=None), "`input` is missing"),
    "responses without model": (to("/v1/responses", input="x"), "`model` is missing"),
    "moderations without input": (to("/v1/moderations"), "`input` is missing"),
    "moderations of an empty model": (to("/v1/moderations", model="", input="x"), "`model` must be a non-empty"),
    "an endpoint without /v1": (to("/embeddings", model="m"), "`input` is missing"),
    "a bare body for nowhere": (b'{"model": "m", "input": "x"}', "no endpoint: the line has neither `body` nor"),
    "a bare body, custom_id twice": (
        b'{"custom_id": "a", "messages": [], "custom_id": "a"}',
        "`custom_id` occurs twice",
    ),
    "a bare body, custom_id a number": (b'{"custom_id": 1, "messages": []}', "`custom_id` must be a string"),
    "a bare chat without model": (b'{"messages": [{"role": "user", "content": "x"}]}', "`model` is missing"),
}


@pytest.mark.parametrize(("raw", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_refused_with_its_reason(raw, reason):
    bad = parse_line(raw, line=17, default_path=None)
    assert isinstance(bad, BadLine)
    assert bad.line == 17
    assert reason in bad.reason


def test_a_line_over_64_mib_is_refused():
    bad = parse_line(b" " * (64 * 1024 * 1024) + b"{}", line=2, default_path=None)
    assert isinstance(bad, BadLine)
    assert "longer than 64 MiB" in bad.reason
    assert bad.reason == refuse_too_long(b'{"custom_id": "x"', line=2).reason


def test_of_a_bare_body_without_an_endpoint_a_likely_one_is_known():
    bad = parse_line(b'{"model": "m"}', line=1, default_path=None)
    assert isinstance(bad, BadLine)
    assert (bad.form, bad.keys) == (Form.NO_PATH, ("/v1/embeddings",))


def test_an_endpoint_for_bare_bodies_that_is_no_plain_path_is_refused():
    bad = parse_line(b'{"model": "m"}', line=1, default_path="https://evil.example")
    assert isinstance(bad, BadLine)
    assert bad.reason.startswith("the endpoint of bodies that name none must be a plain path")


@pytest.mark.parametrize(
    ("raw", "custom_id"),
    [
        (envelope(method="GET", custom_id="zeile-é"), "zeile-é"),
        (b'{"custom_id": "a\\"b", "x": NaN}', 'a"b'),
        (b'{"custom_id": "row", cut off', "row"),
        (envelope(custom_id=7), None),
        (b'{"metadata": {"custom_id": "in"}, "model": "m"}', None),
        (b'{"metadata": {"custom_id": "in"}, "custom_id": "out", "messages": []}', "out"),
        (b"[]", None),
        (envelope(custom_id="x" * 513), None),
        (b'{"custom_id": "\\ud800"}', None),
        (b'{"custom_id": "\xff"}', None),
        (b"nothing", None),
    ],
)
def test_a_refused_line_keeps_the_custom_id_that_can_be_read(raw, custom_id):
    bad = parse_line(raw, line=1, default_path=None)
    assert isinstance(bad, BadLine)
    assert bad.custom_id == custom_id


@pytest.mark.parametrize("letter", ["x", "é", "𝄞", "\ufffd"])
def test_the_kept_text_is_cut_to_2000_characters(letter):
    bad = parse_line(letter.encode() * 5_000, line=1, default_path=None)
    assert isinstance(bad, BadLine)
    assert bad.text == letter * 2_000


def test_the_kept_text_shows_bytes_that_are_not_utf_8_as_replaced():
    bad = parse_line(b"a\xffb", line=1, default_path=None)
    assert isinstance(bad, BadLine)
    assert bad.text == "a\ufffdb"


def test_an_edited_body_is_checked_by_the_same_rules():
    path = "/v1/chat/completions"
    good = parse_body(json.dumps(CHAT).encode(), line=3, custom_id="c", path=path)
    bad = parse_body(json.dumps({**CHAT, "max_tokens": 0}).encode(), line=3, custom_id="c", path=path)
    assert isinstance(good, ParsedLine)
    assert (good.line, good.custom_id, good.path, good.body) == (3, "c", path, json.dumps(CHAT).encode())
    assert isinstance(bad, BadLine)
    assert POSITIVE in bad.reason
    assert isinstance(parse_body(b"[]", line=3, custom_id="c", path=path), BadLine)
