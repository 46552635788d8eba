"""Answers that are delivered although something is odd about them are counted, and said in a sentence."""

import pytest

from batcher.policy.output.odd_answers import notes, parameter_for

CUT = "cut at the token limit"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((0, 0, 0), []),
        ((1, 0, 0), ["1 answer was cut at the token limit: raise max_tokens"]),
        (
            (5, 1, 0),
            ["5 answers were cut at the token limit, one of them before the first word: raise max_tokens"],
        ),
        (
            (1200, 30, 0),
            ["1,200 answers were cut at the token limit, 30 of them before the first word: raise max_tokens"],
        ),
        ((0, 0, 2), ["2 answers were not validated: the requested format could not be checked"]),
    ],
)
def test_each_kind_is_said_once(counts, said):
    truncated, empty, unchecked = counts
    assert notes(truncated=truncated, empty=empty, unchecked=unchecked, parameter="max_tokens") == said


@pytest.mark.parametrize(
    ("path", "named", "parameter"),
    [
        ("/v1/chat/completions", "max_tokens", "max_tokens"),
        ("/v1/chat/completions", None, "max_completion_tokens"),
        ("/v1/responses", None, "max_output_tokens"),
        ("/v1/messages", None, "max_tokens"),
        ("/v1/models/g:generateContent", None, "generationConfig.maxOutputTokens"),
    ],
)
def test_the_parameter_is_called_as_the_request_calls_it(path, named, parameter):
    assert parameter_for(path, named) == parameter
