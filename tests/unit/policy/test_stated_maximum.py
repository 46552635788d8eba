"""What a request's body states as its maximum output."""

import pytest

from batcher.policy.stated_maximum import stated_output


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b'{"max_tokens": 700}', 700),
        (b'{"max_completion_tokens": 700}', 700),
        (b'{"max_output_tokens": 700}', 700),
        # Not every provider counts each answer.
        (b'{"max_tokens": 700, "n": 100}', 700),
        (b'{"max_tokens": 700, "max_completion_tokens": 300}', 300),
        (b'{"tools": [{"max_tokens": 700}]}', None),
        (b'{"max_tokens": null}', None),
        (b'{"max_tokens": true}', None),
        (b"{}", None),
        (b"[1]", None),
    ],
)
def test_only_what_the_body_itself_names_is_a_stated_maximum(body, output):
    assert stated_output(body) == output
