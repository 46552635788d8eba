"""Lines of a job file through the door."""

from collections.abc import Iterator
from typing import Final

from batcher.domain.requests import BadLine, ParsedLine
from batcher.files.reading import RawLine
from batcher.policy.parse import parse_line, refuse_too_long

#: Bad lines that are shown, unless all are asked for.
SHOWN_BAD_LINES: Final = 100


def checked_lines(lines: Iterator[RawLine], url: str | None) -> Iterator[ParsedLine | BadLine]:
    """Every line checked; `url` is that of bare bodies, a normalized path."""
    for line in lines:
        if line.data is None:
            yield refuse_too_long(line.head, line=line.number)
        else:
            yield parse_line(line.data, line=line.number, default_path=url)
