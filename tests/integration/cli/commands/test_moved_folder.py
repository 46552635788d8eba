"""A project whose folder was moved with its store: the error about the old place names the command that works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import jobs_now, rows, rows_of


@pytest.fixture(autouse=True)
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, which a test moves."""
    (folder / "project").mkdir()
    monkeypatch.chdir(folder / "project")


def moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rename the working directory, as a person does between two sessions."""
    new = Path.cwd().with_name("moved project")
    shutil.move(Path.cwd(), new)
    monkeypatch.chdir(new)


def paste(said: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", said.split("`")[1]], env={**os.environ, "PATH": path}, check=True)


@pytest.mark.parametrize("command", [["resume"], ["resume", "1"]])
def test_an_unfinished_job_goes_on_where_it_was_moved_to(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = job_file(Path("my rows.jsonl"), *rows(3))
    assert batcher("submit", file, "--simulate").code == 0
    moved(monkeypatch)
    called = batcher(*command)
    assert (called.code, "does not exist" in called.err) == (2, True), called
    paste(called.err)
    assert len(rows_of("my rows.simulated.results.jsonl")) == 3
    assert jobs_now()[0]["state"] == "completed"


def test_the_results_of_a_finished_job_are_written_where_it_was_moved_to(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    assert batcher("run", file, "--simulate", "-o", "r.jsonl").code == 0
    moved(monkeypatch)
    Path("r.jsonl").unlink()
    called = batcher("results")
    assert (called.code, "does not exist" in called.err) == (2, True), called
    paste(called.err)
    assert len(rows_of("r.jsonl")) == 3


def test_the_same_command_goes_on_where_the_file_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    assert batcher("submit", file, "--simulate").code == 0
    moved(monkeypatch)
    assert batcher("run", file, "--simulate").code == 0
    assert len(rows_of("j.simulated.results.jsonl")) == 3
