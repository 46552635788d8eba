"""stdout and stderr that cannot be written: the work goes on, and the exit code says how it ended.

The reports: docs/reliability.md.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import Called, job_file
from tests.support.programs import jobs_now, rows, rows_of

pytestmark = pytest.mark.usefixtures("folder")

FULL = "/dev/full"


def redirected(*args: object, out: str | None = None, err: str | None = None) -> Called:
    """`batcher` with a stream on a full disk, or on a pipe that nobody reads (`closed`)."""
    reads, writes = os.pipe()
    os.close(reads)
    opened = {name: os.open(FULL, os.O_WRONLY) if name == FULL else writes for name in (out, err) if name}
    done = subprocess.run(
        [sys.executable, "-m", "batcher", *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=opened[out] if out else subprocess.PIPE,
        stderr=opened[err] if err else subprocess.PIPE,
        check=False,
    )
    for descriptor in {writes, *opened.values()}:
        os.close(descriptor)
    return Called(done.returncode, done.stdout or b"", (done.stderr or b"").decode())


@pytest.mark.parametrize("err", ["closed", FULL])
def test_a_run_needs_no_stderr(err: str) -> None:
    file = job_file(Path("j.jsonl"), *rows(3), "no json")
    called = redirected("run", file, "--simulate", "--skip-invalid", "-v", err=err)
    assert called.code == 3, called
    assert len(rows_of("j.simulated.results.jsonl")) == 3
    assert "3 answered" in called.out


@pytest.mark.parametrize("err", ["closed", FULL])
def test_an_error_needs_no_stderr(err: str) -> None:
    called = redirected("run", "none.jsonl", "--json", err=err)
    assert (called.code, called.json["error"]["message"]) == (2, "none.jsonl does not exist")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_reader_of_a_summary_may_have_exited(form: list[str]) -> None:
    file = job_file(Path("j.jsonl"), *rows(2), "no json")
    called = redirected("run", file, "--simulate", "--skip-invalid", *form, out="closed")
    assert (called.code, "error" in called.err) == (3, False), called


def test_a_full_disk_behind_stdout_is_no_internal_error() -> None:
    file = job_file(Path("j.jsonl"), *rows(2))
    said = "error: stdout cannot be written: No space left on device\n"
    run = redirected("run", file, "--simulate", "--json", "-q", out=FULL)
    assert (run.code, run.err.startswith(said)) == (1, True), run
    assert jobs_now()[0]["state"] == "completed"
    for command in (["status"], ["status", "--json"], ["results", "-o", "-"], ["cache", "stats"]):
        called = redirected(*command, out=FULL)
        assert (called.code, called.err.startswith(said)) == (1, True), (command, called)


def test_an_error_as_json_needs_no_stdout() -> None:
    called = redirected("status", "7", "--json", out="closed")
    assert (called.code, "Traceback" in called.err) == (2, False), called
