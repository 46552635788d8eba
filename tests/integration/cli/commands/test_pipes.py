"""Job files that come from a pipe, and results that go to a pipe or a device (docs/reliability.md)."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import jobs_now, rows, rows_of

pytestmark = pytest.mark.usefixtures("folder")


@contextmanager
def fed(text: bytes) -> Iterator[str]:
    """What a shell puts in the place of `<(command)`."""
    reads, writes = os.pipe()
    os.write(writes, text)
    os.close(writes)
    yield f"/dev/fd/{reads}"
    os.close(reads)


@contextmanager
def read() -> Iterator[tuple[str, list[bytes]]]:
    """What a shell puts in the place of `>(command)`, and what the command has read at the end of the block."""
    reads, writes = os.pipe()
    got: list[bytes] = []

    def gather() -> None:
        with os.fdopen(reads, "rb") as file:
            got.extend(file)

    reader = threading.Thread(target=gather)
    reader.start()
    try:
        yield f"/dev/fd/{writes}", got
    finally:
        os.close(writes)
        reader.join(10)


@pytest.fixture
def job(folder: Path) -> Path:  # noqa: ARG001 - where it runs
    """A finished job with a line that was skipped."""
    file = job_file(Path("j.jsonl"), *rows(3), "no json")
    assert batcher("run", file, "--simulate", "--skip-invalid").code == 3
    return file


def test_a_job_file_from_a_pipe_is_as_one_from_stdin() -> None:
    text = job_file(Path("j.jsonl"), *rows(3)).read_bytes()
    for place in ("stdin.simulated.results.jsonl", "out.jsonl"):
        with fed(text) as path:
            called = batcher("run", path, "--simulate", *(["-o", place] if place == "out.jsonl" else []))
        assert called.code == 0, called
        assert len(rows_of(place)) == 3
    assert [each["name"] for each in jobs_now()] == ["stdin"]


def test_an_invalid_line_from_a_pipe_is_one_of_stdin() -> None:
    with fed(b"no json\n") as path:
        called = batcher("run", path, "--simulate")
    assert (called.code, called.err.startswith("<stdin>:1: not JSON")) == (2, True), called


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("path", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_results_go_to_stdout_by_each_of_its_names(path: str) -> None:
    called = batcher("results", "-o", path)
    assert (called.code, called.out.count("\n"), called.err) == (0, 3, "job 1 (j): 3 answered → stdout\n")
    assert batcher("dlq", "export", "-o", path).code == 0


@pytest.mark.usefixtures("job")
def test_results_go_to_a_pipe_and_errors_where_they_are_asked_for() -> None:
    with read() as (path, got):
        assert batcher("results", "-o", path, "--errors", "mine.jsonl").code == 0
    assert (len(got), len(rows_of("mine.jsonl"))) == (3, 1)
    assert batcher("results", "-o", "/dev/null").code == 0
    assert not Path("/dev/null").is_file()


def test_a_run_writes_to_files_alone(job: Path) -> None:
    for path in ("/dev/null", "/dev/stdout", "-"):
        called = batcher("run", job, "--simulate", "-o", path)
        assert (called.code, f"`batcher results -o {path}`" in called.err) == (2, True), called


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="folders in which no file can be made")
@pytest.mark.parametrize("place", ["/proc/out.jsonl", "/proc/self/out.jsonl", "/dev/fd/out.jsonl"])
def test_a_folder_in_which_no_file_can_be_made_is_refused_before_anything_is_sent(place: str) -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    called = batcher("run", file, "--simulate", "-o", place)
    assert (called.code, jobs_now()) == (2, []), called
