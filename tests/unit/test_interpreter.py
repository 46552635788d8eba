"""Which program may be started as a second Python."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batcher import interpreter
from batcher.interpreter import helper_command, helper_environment, is_helper, is_interpreter


def test_this_interpreter_is_one_also_by_a_link(tmp_path: Path) -> None:
    assert is_interpreter(sys.executable)
    for name in ("python", "python3", "python3.11", "python3.13t", "pypy3.10"):
        (tmp_path / name).symlink_to(Path(sys.executable).resolve())
        assert is_interpreter(str(tmp_path / name)), name


@pytest.mark.parametrize("name", [None, "", "/bin/true", "/usr/bin/yes", "/nowhere/python", "/sbin/python-app"])
def test_another_program_is_none(name: str | None) -> None:
    assert not is_interpreter(name)


def test_neither_name_nor_file_alone_make_an_interpreter(tmp_path: Path) -> None:
    script, app = tmp_path / "python3", tmp_path / "my-app"
    script.write_text("#!/bin/sh\nexec python main.py\n")
    script.chmod(0o755)
    app.symlink_to(sys.executable)
    assert not is_interpreter(str(script))
    assert not is_interpreter(str(app))


def test_where_the_system_does_not_say_what_runs_the_name_decides(tmp_path: Path, monkeypatch) -> None:
    """As on macOS."""
    monkeypatch.setattr(interpreter, "_RUNNING", tmp_path / "missing")
    assert is_interpreter(sys.executable)
    assert not is_interpreter("/Applications/My.app/Contents/MacOS/My")


def test_a_helper_starts_no_other(monkeypatch) -> None:
    assert not is_helper()
    assert helper_command("batcher.clock") is not None
    monkeypatch.setattr(interpreter.os, "environ", helper_environment())  # type: ignore[attr-defined]
    assert is_helper()
    assert helper_command("batcher.clock") is None


def test_the_command_finds_the_same_modules(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "here.py").write_text("import sys\ndef main(): print(sys.argv[1])\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), Path("/x"), *sys.path])
    command = helper_command("here", "said")
    assert command is not None
    assert subprocess.check_output(command, text=True) == "said\n"
    assert shutil.which(command[0])
