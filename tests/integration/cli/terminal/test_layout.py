"""On a narrow terminal every command stays readable; what is piped is not wrapped."""

from unittest.mock import patch

import pytest

from tests.support.commands import Called, batcher, job_file, line
from tests.support.jobs import rows, run_job

COMMANDS = [
    ["status"],
    ["status", "first"],
    ["dlq", "list"],
    ["dlq", "summary"],
    ["dlq", "show", "3"],
    ["check", "mixed.jsonl"],
    ["check", "mixed.jsonl", "--rpm", "20", "--tpm", "9k"],
    ["cache", "stats"],
    ["results", "first", "-o", "out.jsonl"],
    ["cancel", "first"],
    ["dlq", "retry", "3"],
    ["doctor", "--base-url", "http://127.0.0.1:9/v1", "--model", "m"],
    ["run", "mixed.jsonl", "--simulate"],
    ["status", "nobody"],
    ["resume", "--rpm", "none"],
    ["db", "check"],
]


@pytest.fixture
def stored(folder):
    run_job(folder, rows(answered=2, dead=2), name="first", code="context_length_exceeded")
    run_job(folder, rows(answered=1, dead=1, pending=3), name="second", code="invalid_output", status=200)
    job_file(
        folder / "mixed.jsonl", line("a"), {"custom_id": "b", "messages": "none"}, "no json at all", line("a")
    )
    return folder


def on_columns(columns: int, *args: str) -> Called:
    with patch("batcher.cli.terminal.output.width_of", lambda _: columns):
        return batcher(*args)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("columns", [60, 80])
def test_nothing_is_wider_than_the_terminal_but_words_that_are(command, columns):
    called = on_columns(columns, *command)
    wide = [each for each in (called.out + called.err).splitlines() if len(each) > columns]
    # A word that cannot be broken, a path for one, stands alone on its line.
    assert [each for each in wide if " " in each.strip()] == []


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", [["dlq", "list"], ["dlq", "summary"], ["status", "first"]], ids=" ".join)
def test_what_is_piped_is_not_wrapped(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    called = batcher(*command)
    assert max(len(each) for each in called.out.splitlines()) > 40
    narrow = on_columns(30, *command)
    assert narrow.out.replace(" ", "") != called.out.replace(" ", "")


@pytest.mark.usefixtures("stored")
def test_a_letter_that_is_told_in_words_has_all_its_facts():
    out = on_columns(60, "dlq", "list").out
    assert "request 3: job 1 · line 3 · custom_id bad-0 ·" in out
    assert "code context_length_exceeded" in " ".join(out.split())
