"""Print a command's answer: one JSON document, or lines for people."""

import os
import sys
from contextlib import suppress
from typing import Any

import click
import msgspec

from batcher.cli.store_options import completed
from batcher.cli.terminal.layout import fit, table_lines, width_of
from batcher.cli.terminal.messages import worded
from batcher.cli.terminal.streams import writing_stdout
from batcher.policy.privacy.sanitize import sanitize, sanitize_json


def print_json(document: Any) -> None:  # noqa: ANN401 - anything msgspec encodes
    """Print the answer of `--json`: exactly one document on stdout. Messages in it are worded."""
    raw = sanitize_json(msgspec.json.encode(document, enc_hook=worded))
    with writing_stdout():
        sys.stdout.buffer.write(msgspec.json.format(raw, indent=2) + b"\n")
        sys.stdout.buffer.flush()


def say(text: str = "") -> None:
    """Print a line of the answer. Control characters are escaped: the text may come from outside."""
    with writing_stdout():
        click.echo(fit(completed(sanitize(text)), width_of(sys.stdout)))


def say_verbatim(text: str) -> None:
    """Print a line without wrapping it, so that it can be copied from the terminal."""
    with writing_stdout():
        click.echo(sanitize(text))


def note(text: str) -> None:
    """Print a line that is not part of the answer, on stderr.

    If stderr cannot be written (its reader has exited, its disk is full), the line is lost and the command
    continues.
    """
    with suppress(OSError):
        click.echo(fit(completed(sanitize(text)), width_of(sys.stderr)), err=True)


def number(value: float) -> str:
    """Format a number: `1,319`, `0.50`."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def duration(seconds: float) -> str:
    """Format seconds: `14 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def display_path(path: str) -> str:
    """Return the path relative to the working directory if it is below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def table(rows: list[list[str]], *, right: frozenset[int] = frozenset()) -> None:
    """Print a table; the first row is the head, and `right` are the columns to align right."""
    clean = [[sanitize(cell) for cell in row] for row in rows]
    with writing_stdout():
        for line in table_lines(clean, right, width_of(sys.stdout)):
            click.echo(line)


_STEP = 1_000
_UNITS = ("B", "kB", "MB", "GB", "TB")


def size(count: int) -> str:
    """Format bytes: `999 B`, `12.3 kB`, `1.2 GB`."""
    value, unit = float(count), 0
    while value >= _STEP - 0.05 and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    return f"{count} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def letter_count(count: int) -> str:
    """Format a count of dead letters: `1 dead letter`, `12,345 dead letters`."""
    return "1 dead letter" if count == 1 else f"{number(count)} dead letters"


def row_count(count: int) -> str:
    """Format a count of rows: `1 row`, `12,345 rows`."""
    return "1 row" if count == 1 else f"{number(count)} rows"
