"""`batcher results`: the answers of a job, in input order."""

import json
import stat

import pytest

from batcher.domain.requests import BadLine
from batcher.policy.output.jsonl import rejected_line
from batcher.services.results.export import public_request_id
from tests.support.commands import batcher
from tests.support.jobs import rows, run_job


def custom_ids(text):
    return [json.loads(line)["custom_id"] for line in text.splitlines()]


def error_line_of(job):
    return rejected_line(
        BadLine(line=1, reason="", text="", custom_id="x"), request_id_public=public_request_id(job, 1)
    )


def test_the_newest_job_is_written_where_run_would_have_written_it(folder):
    run_job(folder, rows(answered=1), name="first")
    run_job(folder, rows(answered=2, dead=1), name="second")
    called = batcher("results")
    assert (called.code, called.out) == (0, "")
    assert "job 2 (second): 2 answered → second.results.jsonl" in called.err
    assert "1 row without an answer → second.errors.jsonl" in called.err
    assert custom_ids((folder / "second.results.jsonl").read_text()) == ["good-0", "good-1"]
    assert custom_ids((folder / "second.errors.jsonl").read_text()) == ["bad-0"]


def test_files_are_for_their_owner_alone(folder):
    run_job(folder, rows(answered=1))
    batcher("results", "-o", "out.jsonl")
    assert stat.S_IMODE((folder / "out.jsonl").stat().st_mode) == 0o600


def test_a_named_job_goes_to_named_files(folder):
    run_job(folder, rows(answered=1, dead=1), name="first")
    run_job(folder, rows(answered=1), name="second")
    assert batcher("results", "first", "-o", "a.jsonl", "--errors", "b.jsonl").code == 0
    assert custom_ids((folder / "a.jsonl").read_text()) == ["good-0"]
    assert custom_ids((folder / "b.jsonl").read_text()) == ["bad-0"]


def test_an_errors_file_that_the_job_wrote_goes_where_nothing_failed(folder):
    job = run_job(folder, rows(answered=1))
    (folder / "out.errors.jsonl").write_bytes(error_line_of(job))
    batcher("results", "-o", "out.jsonl")
    assert not (folder / "out.errors.jsonl").exists()


def test_an_errors_file_of_a_person_stays_where_nothing_failed(folder):
    run_job(folder, rows(answered=1))
    (folder / "out.errors.jsonl").write_text("mine")
    assert batcher("results", "-o", "out.jsonl").code == 0
    assert (folder / "out.errors.jsonl").read_text() == "mine"


def test_stdout_gets_result_lines_and_nothing_else(folder):
    run_job(folder, rows(answered=2, dead=1))
    before = set(folder.iterdir())
    called = batcher("results", "-o", "-")
    assert custom_ids(called.out) == ["good-0", "good-1"]
    assert set(folder.iterdir()) == before


def test_with_stdout_errors_go_where_they_are_asked_for(folder):
    run_job(folder, rows(answered=1, dead=2))
    called = batcher("results", "-o", "-", "--errors", "bad.jsonl")
    assert custom_ids(called.out) == ["good-0"]
    assert custom_ids((folder / "bad.jsonl").read_text()) == ["bad-0", "bad-1"]


def test_with_stdout_a_job_without_errors_leaves_no_errors_file(folder):
    job = run_job(folder, rows(answered=1))
    (folder / "bad.jsonl").write_bytes(error_line_of(job))
    batcher("results", "-o", "-", "--errors", "bad.jsonl")
    assert not (folder / "bad.jsonl").exists()


def test_written_again_the_lines_are_the_same(folder):
    run_job(folder, rows(answered=2, dead=1))
    assert batcher("results", "-o", "-").out_bytes == batcher("results", "-o", "-").out_bytes


def test_an_unfinished_job_fails_and_says_how_to_go_on(folder):
    run_job(folder, rows(answered=1, pending=2))
    called = batcher("results")
    assert (called.code, called.out) == (1, "")
    assert "2 of 3 rows left" in called.err
    assert "batcher resume 1" in called.err
    assert "--partial" in called.err
    assert not (folder / "job.results.jsonl").exists()


def test_partial_writes_what_is_there(folder):
    run_job(folder, rows(answered=1, pending=2))
    called = batcher("results", "--partial", "-o", "-")
    assert called.code == 0
    assert custom_ids(called.out) == ["good-0"]


def test_a_cancelled_job_needs_no_partial(folder):
    run_job(folder, rows(answered=1, pending=2))
    batcher("cancel", "1")
    assert custom_ids(batcher("results", "-o", "-").out) == ["good-0"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-o", "batcher.db"], "is the store"),
        (["-o", "a.jsonl", "--errors", "batcher.db"], "is the store"),
        (["-o", "a.jsonl", "--errors", "./a.jsonl"], "would both go to"),
        (["-o", "nowhere/a.jsonl"], "does not exist"),
        (["-o", "."], "is a folder"),
        (["-o", "link"], "symbolic link"),
        (["-o", "-", "--errors", "nowhere/b"], "does not exist"),
        (["77"], "there is no job 77"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(folder, args, says):
    run_job(folder, rows(answered=1, dead=1))
    (folder / "link").symlink_to("elsewhere")
    before = {path: path.stat().st_size for path in folder.iterdir() if path.exists()}
    called = batcher("results", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert {path: path.stat().st_size for path in folder.iterdir() if path.exists()} == before


def test_the_job_file_itself_is_not_overwritten(folder):
    from tests.support.commands import job_file, line

    job_file(folder / "rows.jsonl", line("a"))
    assert batcher("submit", "rows.jsonl", "--simulate", "-q").code == 0
    called = batcher("results", "--partial", "-o", "rows.jsonl")
    assert called.code == 2
    assert "is the job file" in called.err


def test_without_a_store_there_is_no_job(folder):
    called = batcher("results")
    assert called.code == 2
    assert "there is no store" in called.err
    assert list(folder.iterdir()) == []
