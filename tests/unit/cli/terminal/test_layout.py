"""Lines and tables on a terminal: broken between words, never wider than it is; elsewhere left alone."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.cli.terminal.layout import fit, table_lines, width_of

HEAD = ["request", "job", "code", "message"]


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("5", 20), ("", 80), ("wide", 80)])
def test_the_width_is_what_the_terminal_says(monkeypatch: pytest.MonkeyPatch, columns: str, width: int):
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(FakeTerminal()) == width


def test_what_is_no_terminal_has_no_width(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert width_of(io.StringIO()) is None


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("short", ["short"]),
        ("one two three four five six", ["one two three four", "  five six"]),
        ("  → mend what it says, then go on", ["  → mend what it", "    says, then go on"]),
        ("say `batcher resume 3` then", ["say", "  `batcher resume 3`", "  then"]),
        ("see /a/path/that/is/longer/than/it", ["see", "  /a/path/that/is/longer/than/it"]),
    ],
)
def test_a_line_is_broken_between_words_and_hangs_below_its_beginning(line: str, lines: list[str]):
    assert fit(line, 20).split("\n") == lines
    assert fit(line, None) == line


@given(st.text(alphabet="ab` ", max_size=200), st.integers(20, 60))
def test_no_word_is_lost_and_no_line_is_too_wide(line: str, width: int):
    lines = fit(line, width).split("\n")
    assert " ".join(lines).split() == line.split()
    longest = max(map(len, line.split()), default=0)
    assert all(len(each) <= max(width, longest + 2 + len(line) - len(line.lstrip())) for each in lines)


def test_a_table_that_fits_or_goes_to_a_pipe_is_aligned():
    rows = [HEAD, ["7", "1", "bad", "no " * 30]]
    expected = ["request  job  code  message", "      7    1  bad   " + "no " * 29 + "no"]
    assert table_lines(rows, frozenset({0, 1}), None) == expected
    assert table_lines(rows, frozenset({0, 1}), 200) == expected


def test_too_wide_a_table_wraps_its_last_column():
    rows = [HEAD, ["7", "1", "bad", "the quick brown fox jumps over the lazy dog"]]
    assert table_lines(rows, frozenset({0, 1}), 48) == [
        "request  job  code  message",
        "      7    1  bad   the quick brown fox jumps",
        "                    over the lazy dog",
    ]


def test_where_not_even_that_has_room_each_row_is_told_in_words():
    rows = [HEAD, ["7", "1", "bad", "the quick brown fox jumps"], ["8", "-", "", "no"]]
    assert table_lines(rows, frozenset(), 30) == [
        "request 7: job 1 · code bad ·",
        "  message the quick brown fox",
        "  jumps",
        "request 8: message no",
    ]
