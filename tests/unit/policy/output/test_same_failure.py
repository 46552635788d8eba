"""The edit that the provider's words ask for, where all rows fail alike."""

import pytest

from batcher.domain.outcomes import Failure
from batcher.domain.states import FailureKind
from batcher.policy.output.same_failure import how_to_fix
from tests.support.messages import words

RENAMED = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


@pytest.mark.parametrize(
    ("message", "param", "options"),
    [
        (
            RENAMED,
            "max_tokens",
            "--move max_tokens=max_completion_tokens",
        ),
        (
            RENAMED,
            "",
            "--move max_tokens=max_completion_tokens",
        ),
        ("Unknown parameter: 'reasoning'.", "reasoning", "--unset reasoning"),
        ("Unrecognized request argument supplied: top_k", "", "--unset top_k"),
        ("`temperature` is not supported with this model", "", "--unset temperature"),
        ("temperature: Extra inputs are not permitted", "temperature", "--unset temperature"),
        (
            "Invalid value: 'x'. Supported values are: 'low', 'high'.",
            "reasoning_effort",
            "--set reasoning_effort=VALUE",
        ),
        ("This model's maximum context length is 8192 tokens.", "messages", "--set messages=VALUE"),
        ("something is wrong", "", "--set PATH=VALUE"),
    ],
)
def test_the_fix_names_the_edit(message: str, param: str, options: str) -> None:
    failure = Failure(kind=FailureKind.PERMANENT, code="any", message=message, param=param)
    assert f"`batcher dlq retry --job 7 {options}`" in words(how_to_fix(failure), job=7)


def test_answers_that_all_miss_their_format_can_be_taken_unchecked() -> None:
    failure = Failure(kind=FailureKind.TRANSIENT, code="invalid_output", message="the answer is not JSON")
    assert "`batcher resume 7 --no-validate-output`" in words(how_to_fix(failure), job=7)
