"""Errors in words."""

import json

import pytest

from batcher.cli.terminal.errors import report_error
from batcher.domain import errors


@pytest.mark.parametrize("error", [MemoryError(), ExceptionGroup("of a task group", [MemoryError()])])
def test_a_lack_of_memory_is_no_fault_of_ours(error: Exception, capsys) -> None:
    assert report_error(error, ()) == 1
    said = capsys.readouterr().err
    assert "there is not enough memory" in said
    assert "ulimit -v" in said
    assert "internal" not in said


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.UsageError("x"), "usage"),
        (errors.InputError("x", source="f"), "input"),
        (errors.ConfigError("x"), "config"),
        (errors.CredentialsError("x"), "credentials"),
        (errors.UnknownJob("x"), "unknown_job"),
        (errors.NotFinished("x"), "unfinished"),
        (errors.StoreError("x"), "store"),
        (errors.ForeignStore("x"), "store"),
        (errors.RunnerBusy("x"), "busy"),
        (errors.Paused("credentials", "x", "y"), "paused"),
        (ZeroDivisionError("x"), "internal"),
    ],
)
def test_a_program_reads_the_kind_of_an_error(error: Exception, kind: str, capsys) -> None:
    report_error(error, ("--json",))
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == kind
