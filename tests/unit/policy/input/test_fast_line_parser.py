"""Lines that are taken by their types alone are taken as the close look takes them."""

import json
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.requests import BadLine, ParsedLine
from batcher.policy.api_paths import CHAT
from batcher.policy.input import line_parser
from batcher.policy.input.fast_line_parser import plain_line

_MESSAGES = [{"role": "user", "content": 'Hé "you" \\ there'}]


def whole(body: object, **envelope: object) -> bytes:
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": body, **envelope}
    return json.dumps(line, ensure_ascii=False).encode()


def closely(raw: bytes) -> ParsedLine | BadLine:
    with mock.patch.object(line_parser, "plain_line", return_value=None):
        return line_parser.parse_line(raw, line=1, default_path=None)


TAKEN = [
    whole({"model": "m", "messages": _MESSAGES}),
    whole({"model": "gpt-4o-mini", "messages": _MESSAGES, "max_tokens": 5, "n": 3, "seed": 0}),
    whole({"model": "m", "messages": _MESSAGES, "max_tokens": None, "max_completion_tokens": 9, "temperature": 0}),
    whole({"model": "m", "messages": _MESSAGES * 3, "temperature": -0.0, "user": "u"}, url="/chat/completions"),
    whole({"model": " m", "messages": _MESSAGES}, custom_id='a "quoted" {} one'[:1]),
    b' {"body" : {"model":"m","messages":[{"content":"c","role":"system"}]} ,"url":"%b",'
    b'"method":"POST","custom_id":"b"}\t' % CHAT.encode(),
    b'{"\\u0062ody":{"model":"m","model":"k","messages":[{"role":"user","content":"\\ud83d\\ude00"}]},'
    b'"url":"%b","method":"POST","custom_id":"b"}' % CHAT.encode(),
]
LOOKED_AT = [
    whole({"model": "m", "messages": _MESSAGES}, custom_id='a "quoted" one'),
    whole({"model": " ", "messages": _MESSAGES}),
    whole({"model": "m", "messages": []}),
    whole({"model": "m", "messages": _MESSAGES, "max_tokens": 0}),
    whole({"model": "m", "messages": _MESSAGES, "max_tokens": True}),
    whole({"model": "m", "messages": _MESSAGES, "temperature": False}),
    whole({"model": "m", "messages": _MESSAGES, "stream": True}),
    whole({"model": "m", "messages": _MESSAGES, "tools": []}),
    whole({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}]}),
    whole({"model": "m", "messages": [{"role": "user", "content": "c", "name": "n"}]}),
    whole({"model": "m", "messages": _MESSAGES}, method="GET"),
    whole({"model": "m", "messages": _MESSAGES}, url="/v1/embeddings"),
    whole({"model": "m", "messages": _MESSAGES}, url="https://evil.example/v1/chat/completions"),
    whole({"model": "m", "messages": _MESSAGES}, custom_id="x" * 513),
    whole({"model": "m", "messages": _MESSAGES}, metadata=None),
    whole({"model": "m", "messages": _MESSAGES})[:-1] + b', "custom_id": "b"}',
    whole({"model": "m", "messages": _MESSAGES})[:-1] + b', "\\u0062ody": {"model": "m"}}',
    whole({"model": "m", "messages": _MESSAGES}).replace(b'"m"', b'"m", "seed": ' + b"9" * 400),
    whole({"model": "m", "messages": _MESSAGES}).replace(b'"m"', b'"m", "top_p": 1e999'),
    whole({"model": "m", "messages": _MESSAGES}).replace(b"there", b"\\ud800"),
    whole({"model": "m", "messages": _MESSAGES}).replace(b"there", b"\xff"),
    whole({"model": "m", "messages": [{"role": "user", "content": "x" * (1 << 20)}]}),
]


@pytest.mark.parametrize("raw", TAKEN, ids=range(len(TAKEN)))
def test_a_plain_line_is_taken_as_the_close_look_takes_it(raw):
    taken = plain_line(raw, line=1)
    assert taken is not None
    assert taken == closely(raw) == line_parser.parse_line(raw, line=1, default_path=None)


@pytest.mark.parametrize("raw", LOOKED_AT, ids=range(len(LOOKED_AT)))
def test_anything_else_is_looked_at_closely(raw):
    assert plain_line(raw, line=1) is None
    assert line_parser.parse_line(raw, line=1, default_path=None) == closely(raw)


_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False),
    _texts,
)
_messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system", "tool", ""]), "content": _texts | _values}),
    max_size=3,
)
_bodies = st.fixed_dictionaries(
    {"model": _texts | st.just("gpt-4o"), "messages": _messages},
    optional=dict.fromkeys(
        ["max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "seed", "user", "stream"], _values
    ),
)


@given(body=_bodies, custom_id=_texts, ascii_only=st.booleans())
def test_whatever_is_taken_is_what_the_close_look_gives(body, custom_id, ascii_only):
    line = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}
    raw = json.dumps(line, ensure_ascii=ascii_only).encode()
    assert line_parser.parse_line(raw, line=1, default_path=None) == closely(raw)
