"""Fit lines and tables to the width of a terminal. Output to a pipe or a file is not changed."""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Final

#: The smallest width assumed of a terminal.
_MIN_WIDTH: Final = 20
#: The last column is wrapped if it has at least this width; otherwise each row is written as a sentence.
_MIN_COLUMN: Final = 24
_GAP: Final = "  "
_COMMAND: Final = re.compile(r"`[^`]+`\S*")
#: Replaces the spaces in a command while lines are wrapped.
_HARD_SPACE: Final = "\x1f"
_EMPTY: Final = frozenset({"", "-"})


def width_of(stream: IO[str]) -> int | None:
    """Return the width of the stream's terminal in columns; None if it is not a terminal."""
    if not stream.isatty():
        return None
    text = os.environ.get("COLUMNS", "")
    columns = int(text) if text.isascii() and text.isdigit() else 0
    with suppress(OSError, ValueError):
        columns = columns or os.get_terminal_size(stream.fileno()).columns
    return max(_MIN_WIDTH, columns) if columns else 80


def fit(line: str, width: int | None) -> str:
    """Wrap the line between words, with a hanging indent. Commands in backticks stay on one line if possible."""
    if width is None or len(line) <= width:
        return line
    body = line.lstrip(" ")
    hang = len(line) - len(body) + len(_GAP)
    return "\n".join(_wrap_words(line, width, " " * hang))


def _wrap_words(text: str, width: int, hang: str) -> list[str]:
    def unbroken(found: re.Match[str]) -> str:
        return found[0].replace(" ", _HARD_SPACE) if len(found[0]) <= width - len(hang) else found[0]

    lines = textwrap.wrap(
        _COMMAND.sub(unbroken, text),
        width,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return [line.replace(_HARD_SPACE, " ") for line in lines]


def table_lines(rows: Sequence[Sequence[str]], right: frozenset[int], width: int | None) -> list[str]:
    """Lay out rows, the first of which is the head. Each column is as wide as its longest cell.

    If the table is wider than the terminal, the last column is wrapped. If that column would be too narrow, each
    row is written as a sentence.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if width is None or before + widths[-1] <= width:
        return [_aligned(row, widths, right) for row in rows]
    if width - before < _MIN_COLUMN:
        return [line for row in rows[1:] for line in _as_sentence(rows[0], row, width)]
    return [line for row in rows for line in _wrap_last(row, widths, right, width - before)]


def _aligned(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    cells = zip(row, widths, strict=True)
    padded = (c.rjust(w) if column in right else c.ljust(w) for column, (c, w) in enumerate(cells))
    return _GAP.join(padded).rstrip()


def _wrap_last(row: Sequence[str], widths: Sequence[int], right: frozenset[int], room: int) -> Iterator[str]:
    first, *rest = _wrap_words(row[-1], room, "") or [""]
    yield _aligned([*row[:-1], first], [*widths[:-1], len(first)], right)
    hang = " " * (sum(widths[:-1]) + len(_GAP) * (len(widths) - 1))
    yield from (hang + line for line in rest)


def _as_sentence(head: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """Write a row as `request 17: job 1 · line 3 · …`, wrapped between words. Empty cells are left out."""
    cells = [(name, cell) for name, cell in zip(head, row, strict=True) if cell not in _EMPTY]
    (name, cell), *others = cells
    rest = " · ".join(f"{name}{_HARD_SPACE}{cell}" for name, cell in others)
    return _wrap_words(f"{name} {cell}: {rest}", width, _GAP)
