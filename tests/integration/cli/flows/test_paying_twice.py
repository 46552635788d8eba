"""Rows that are sent again although they were answered are counted, with the flag that reuses their answers."""

from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import provider, rows, run_on

pytestmark = pytest.mark.usefixtures("folder")


def test_answers_that_a_new_job_does_not_reuse_are_counted_with_the_flag_that_would() -> None:
    file = job_file(Path("j.jsonl"), *rows(4))
    with provider() as server:
        assert "answered before" not in run_on(server, file).err
        called = run_on(server, file, "--new")
        assert server.requests == 8
        stored = batcher("submit", file, "--new")
        advice = "`batcher resume 3 --cache all`"
        assert (
            f"4 of its 4 rows were answered before and will be sent again; to use those answers instead, {advice}"
            in (stored.err)
        )
        assert batcher("resume", 3, "--cache", "all").code == 0
        assert server.requests == 8
        reused = run_on(server, file, "--new", "--cache", "all")
    assert "stop this run, then `batcher resume 2 --cache all`" in called.err
    assert "4 of its 4 rows were answered before; those answers are used again" in reused.err


def test_a_changed_file_says_how_many_rows_it_shares() -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(5)))
        called = run_on(server, job_file(Path("j.jsonl"), *rows(3), *rows(4, "other")))
    assert "j.jsonl has changed since job 1; this is a new job; 3 of its 7 rows stood there too" in called.err
    assert "3 of its 7 rows were answered before and will be sent again" in called.err


def test_help_gives_the_true_default_of_the_cache() -> None:
    text = " ".join(batcher("run", "--help").out.split())
    assert (
        "[default: all; at a loopback endpoint, and with --simulate, answers of earlier jobs only if --cache all"
        in text
    )
