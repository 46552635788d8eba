"""Errors of the Python API name its arguments, not the flags of commands."""

from typing import cast

import pytest

from batcher import Batcher, Limits
from batcher.api.errors import to_python_names
from batcher.domain.errors import ConfigError


@pytest.mark.parametrize(
    ("told", "in_words"),
    [
        ("--timeout must be greater than 0, not -1", "timeout must be greater than 0, not -1"),
        (
            "export it, or name another variable with --api-key-env",
            "export it, or name another variable with api_key_env",
        ),
        ("give its PEM file with --ca-file FILE", "give its PEM file with ca_file"),
        ("run the good ones with --skip-invalid", "run the good ones with skip_invalid=True"),
        ("name another output file with -o", "name another output file with output"),
        ("the variable that `--api-key-env` names", "the variable that `api_key_env` names"),
        ("mend it, then `batcher resume --rpm 5`", "mend it, then `batcher resume --rpm 5`"),
        ("`batcher dlq list --job 3` names them", "`batcher dlq list --job 3` names them"),
        ("cut, and --fail-truncated was given", "cut, and fail_truncated=True was given"),
        ("to take it, --no-validate-output", "to take it, validate_output=False"),
        ("paid again with --no-cache", 'paid again with cache="off"'),
        ("a well-known e-o--thing", "a well-known e-o--thing"),
    ],
)
def test_flags_become_arguments_and_commands_stay(told: str, in_words: str):
    assert to_python_names(told) == in_words


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"timeout": -1.0}, "timeout must"),
        ({"max_attempts": 0}, "max_attempts must"),
        ({"base_url": "no"}, "base_url"),
        ({"limits": Limits(rpm=0)}, "limits.rpm must be greater than 0, not 0"),
        ({"limits": Limits(tpm=-1)}, "limits.tpm must be greater than 0, not -1"),
        ({"limits": Limits(rpm=cast("float", "200k"))}, "limits.rpm must be a number, not a string"),
        ({"limits": 500}, "limits must be Limits, not int"),
        ({"model_limits": {"m": Limits(rpd=0)}}, "model_limits['m'].rpd must be greater than 0"),
    ],
)
def test_a_wrong_argument_is_named_as_it_was_given(tmp_path, monkeypatch, settings, begins):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        Batcher(**settings)
    assert caught.value.message.startswith(begins)
    assert "--" not in str(caught.value)
