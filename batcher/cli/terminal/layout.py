"""Lines and tables fitted to the width of a terminal. What goes to a pipe or a file is left as it is."""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO, Final

#: Narrower than this no terminal is taken to be.
_LEAST: Final = 20
#: A column of text is wrapped where it has at least so much room; else the table's rows are told one by one.
_LEAST_COLUMN: Final = 24
_GAP: Final = "  "
_COMMAND: Final = re.compile(r"`[^`]+`\S*")
#: Stands for the space within a command while lines are broken.
_HARD_SPACE: Final = "\x1f"
_EMPTY: Final = frozenset({"", "-"})


def width_of(stream: IO[str]) -> int | None:
    """Columns of the terminal that the stream goes to; None: it goes to none."""
    if not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    columns = int(told) if told.isascii() and told.isdigit() else 0
    with suppress(OSError, ValueError):
        columns = columns or os.get_terminal_size(stream.fileno()).columns
    return max(_LEAST, columns) if columns else 80


def fitted(line: str, width: int | None) -> str:
    """The line broken between words, the rest indented. Commands in backticks stay whole if possible."""
    if width is None or len(line) <= width:
        return line
    body = line.lstrip(" ")
    hang = len(line) - len(body) + len(_GAP)
    return "\n".join(_broken(line, width, " " * hang))


def _broken(text: str, width: int, hang: str) -> list[str]:
    def whole(found: re.Match[str]) -> str:
        return found[0].replace(" ", _HARD_SPACE) if len(found[0]) <= width - len(hang) else found[0]

    lines = textwrap.wrap(
        _COMMAND.sub(whole, text),
        width,
        subsequent_indent=hang,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return [line.replace(_HARD_SPACE, " ") for line in lines]


def table_lines(rows: Sequence[Sequence[str]], right: frozenset[int], width: int | None) -> list[str]:
    """Columns wide enough for their longest cell, the first row the head.

    Too wide for the terminal, the last column is wrapped; where it has no room, every row is told in words.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    before = sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    if width is None or before + widths[-1] <= width:
        return [_aligned(row, widths, right) for row in rows]
    if width - before < _LEAST_COLUMN:
        return [line for row in rows[1:] for line in _told(rows[0], row, width)]
    return [line for row in rows for line in _wrapped(row, widths, right, width - before)]


def _aligned(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    cells = zip(row, widths, strict=True)
    padded = (c.rjust(w) if column in right else c.ljust(w) for column, (c, w) in enumerate(cells))
    return _GAP.join(padded).rstrip()


def _wrapped(row: Sequence[str], widths: Sequence[int], right: frozenset[int], room: int) -> Iterator[str]:
    first, *rest = _broken(row[-1], room, "") or [""]
    yield _aligned([*row[:-1], first], [*widths[:-1], len(first)], right)
    hang = " " * (sum(widths[:-1]) + len(_GAP) * (len(widths) - 1))
    yield from (hang + line for line in rest)


def _told(head: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    """`request 17: job 1 · line 3 · …`, broken between words."""
    cells = [(name, cell) for name, cell in zip(head, row, strict=True) if cell not in _EMPTY]
    (name, cell), *others = cells
    told = " · ".join(f"{name}{_HARD_SPACE}{cell}" for name, cell in others)
    return _broken(f"{name} {cell}: {told}", width, _GAP)
