"""A request as a line of a job file: the door reads back what was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.domain.requests import ParsedLine
from batcher.policy.input.line_parser import parse_line
from batcher.policy.output.jsonl import job_line

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m",  "messages": [{"role": "user", "content": "%s"}], "n": 1}'


@given(st.text(min_size=1, max_size=512), st.integers(0, 10**30))
def test_the_door_takes_a_line_with_its_id_path_and_bytes(custom_id, number):
    body = BODY % str(number).encode()
    parsed = parse_line(job_line(custom_id, CHAT, body).removesuffix(b"\n"), line=1, default_path=None)
    assert isinstance(parsed, ParsedLine)
    assert (parsed.custom_id, parsed.path, parsed.body) == (custom_id, CHAT, body)


@pytest.mark.parametrize(
    ("body", "line"),
    [(b'{"a":\n1}', b'{"a": 1}'), (b'{"a":\r\n1}', b'{"a":  1}'), (b'{"a": "\\n"}', b'{"a": "\\n"}')],
)
def test_a_body_on_several_lines_comes_onto_one(body, line):
    assert job_line("a", CHAT, body).endswith(b'"body": ' + line + b"}\n")
