"""Errors in words."""

import pytest

from batcher.cli.terminal.errors import report_error


@pytest.mark.parametrize("error", [MemoryError(), ExceptionGroup("of a task group", [MemoryError()])])
def test_a_lack_of_memory_is_no_fault_of_ours(error: Exception, capsys) -> None:
    assert report_error(error, ()) == 1
    said = capsys.readouterr().err
    assert "there is not enough memory" in said
    assert "ulimit -v" in said
    assert "internal" not in said
