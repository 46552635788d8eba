"""What is often typed wrong, and what the system refuses: said in its own words, with a command that works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batcher.cli.terminal.misuse import refusal_of_the_system
from tests.support.commands import batcher, job_file
from tests.support.programs import jobs_now, rows, running

pytestmark = pytest.mark.usefixtures("folder")


def advice_of(said: str) -> str:
    """The command between the backticks of the hint."""
    return said.split("`")[1]


def test_several_files_are_answered_with_a_loop_that_works() -> None:
    names = ["a.jsonl", "b c.jsonl", "-d.jsonl"]
    for name in names:
        job_file(Path(name), *rows(2, name))
    called = batcher("run", "a.jsonl", "b c.jsonl", "./-d.jsonl", "-o", "out.jsonl", "--simulate")
    assert called.code == 2
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-c", advice_of(called.err)], env={**os.environ, "PATH": path}, check=True)
    assert [job["state"] for job in jobs_now()] == ["completed"] * 3
    assert Path("b c.simulated.results.jsonl").exists()


def test_many_files_are_not_all_named() -> None:
    files = [job_file(Path(f"{number}.jsonl"), *rows(1)) for number in range(20)]
    called = batcher("check", *files)
    assert (called.code, called.err.count(".jsonl")) == (2, 8)
    assert called.err.startswith("error: batcher check takes one job file, not 20\n")


@pytest.mark.parametrize("args", [["run", "a.jsonl", "none.jsonl"], ["status", "1", "2"], ["run"]])
def test_other_wrong_use_is_answered_with_help(args: list[str]) -> None:
    job_file(Path("a.jsonl"), *rows(1))
    called = batcher(*args)
    assert (called.code, advice_of(called.err)) == (2, f"batcher {args[0]} --help")


def test_a_file_in_the_place_of_a_command_is_answered_with_run() -> None:
    job_file(Path("my rows.jsonl"), *rows(1))
    called = batcher("my rows.jsonl")
    assert (called.code, advice_of(called.err)) == (2, "batcher run 'my rows.jsonl'")


def test_a_key_log_that_cannot_be_written_is_named() -> None:
    file = job_file(Path("j.jsonl"), *rows(1))
    with running("run", file, "--base-url", "https://127.0.0.1:1/v1", SSLKEYLOGFILE="/none/keys") as program:
        code, _, said = program.end()
    assert code == 2, said
    assert "error: SSLKEYLOGFILE names /none/keys, which cannot be written: No such file" in said


def test_a_system_without_threads_is_named() -> None:
    found = refusal_of_the_system(RuntimeError("can't start new thread"))
    assert found is not None
    assert "ulimit -u" in str(found.hint)
    assert refusal_of_the_system(RuntimeError("another")) is None
