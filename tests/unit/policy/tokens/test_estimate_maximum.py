import json

import pytest

from batcher.policy.tokens.estimate import DEFAULT_OUTPUT_TOKENS, names_maximum


@pytest.mark.parametrize(
    ("body", "est_output", "named"),
    [
        ({"max_tokens": 512}, 512, True),
        ({"max_completion_tokens": 1024}, 1024, True),
        ({"max_output_tokens": 512}, 512, True),
        ({"messages": [{"role": "user", "content": "hi"}]}, DEFAULT_OUTPUT_TOKENS, False),
        ({"n": 3}, 3 * DEFAULT_OUTPUT_TOKENS, False),
        # a prompt that speaks of the field
        ({"messages": [{"role": "user", "content": 'set "max_tokens" to 5'}]}, DEFAULT_OUTPUT_TOKENS, False),
        # an estimate that is no guess: the body is not looked at
        ({}, 100, True),
        ({"input": "embedded"}, 0, True),
    ],
)
def test_a_body_names_its_most_output_or_it_is_guessed(body, est_output, named):
    assert names_maximum(json.dumps(body).encode(), est_output) is named
