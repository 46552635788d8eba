"""Errors of the Python API name its arguments, not the flags of commands."""

from typing import cast

import pytest

from batcher import Batcher, Limits
from batcher.api.errors import argument_name, translate_errors
from batcher.domain.errors import ConfigError, InputError
from batcher.domain.messages import Cause
from batcher.domain.requests import ForeignLines
from batcher.messages.fields import fill
from tests.support.messages import words


@pytest.mark.parametrize(
    ("template", "in_words"),
    [
        ("another variable with {--api-key-env}", "another variable with api_key_env"),
        ("give its PEM file with {--ca-file:FILE}", "give its PEM file with ca_file"),
        ("run the good ones with {--skip-invalid}", "run the good ones with skip_invalid=True"),
        ("run with {--no-cache} {--new}", 'run with cache="off" new=True'),
        ("{--simulate}, or {--allow-http}", "simulate=True, or allow_http=True"),
        ("none is given ({--rpm}, {--tpm})", "none is given (Limits(rpm=…), Limits(tpm=…))"),
        ("name another output file with {-o}", "name another output file with output"),
        ("`batcher dlq list --job 3` names them", "`batcher dlq list --job 3` names them"),
        ("cut, and {--fail-truncated} was given", "cut, and fail_truncated=True was given"),
        ("to take it, {--no-validate-output}", "to take it, validate_output=False"),
        ("paid again with {--no-cache}", 'paid again with cache="off"'),
    ],
)
def test_options_are_arguments_and_commands_stay(template: str, in_words: str):
    assert fill(template, argument_name) == in_words


def test_an_error_that_leaves_has_the_words_of_python():
    hint = Cause.OF_FORM(form="body_check", name="x.jsonl", keys=(), delimiter=",")
    forms = [ForeignLines(form="body_check", count=1, first_line=1, reason="no model", hint=hint)]
    with pytest.raises(InputError) as caught, translate_errors():
        raise InputError("x.jsonl", source="x.jsonl", forms=forms, hint=Cause.SKIP_INVALID())
    assert caught.value.hint == "run the valid ones with skip_invalid=True"
    assert caught.value.forms[0].hint == "correct the bodies, or send them as they are with no_body_checks"
    assert str(caught.value) == "x.jsonl\n  → run the valid ones with skip_invalid=True"


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
    assert words(caught.value.message).startswith(begins)
    assert "--" not in str(caught.value)
