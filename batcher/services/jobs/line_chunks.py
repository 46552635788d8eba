"""Parse and fingerprint the lines of a job file, in chunks that are stored together."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from batcher.domain.requests import BadLine, Line, ParsedLine
from batcher.domain.states import CacheMode
from batcher.files.reading import RawLine
from batcher.policy.input.deduplication import fingerprint, shares_answer
from batcher.policy.input.line_parser import LineRules, parse_line, refuse_too_long

#: Invalid lines that an error lists, unless all are requested.
SHOWN_BAD_LINES: Final = 100


class ParseOptions(Struct, frozen=True, kw_only=True):
    """How lines are parsed."""

    #: The url of bare bodies, a normalized path.
    url: str | None
    #: Decides which rows share answers.
    cache: CacheMode
    rules: LineRules = LineRules()


def checked_lines(lines: Iterator[RawLine], options: ParseOptions) -> Iterator[ParsedLine | BadLine]:
    """Validate every line."""
    url, rules = options.url, options.rules
    for line in lines:
        if line.data is None:
            yield refuse_too_long(line.head, line=line.number)
        else:
            yield parse_line(line.data, line=line.number, default_path=url, rules=rules)


_CHUNK_ROWS: Final = 6_000
_CHUNK_BYTES: Final = 8 * 1024 * 1024


class Chunk(Struct, frozen=True, tag=True, gc=False):
    """Consecutive lines of the file in order: the valid ones, and the invalid ones."""

    lines: list[Line]
    bad: list[BadLine]


def chunks(lines: Iterator[RawLine], options: ParseOptions) -> Iterator[Chunk]:
    """Yield all lines in file order, in chunks of limited rows and bytes. Raises what `lines` raises."""
    good: list[Line] = []
    bad: list[BadLine] = []
    size = 0
    for line in checked_lines(lines, options):
        if isinstance(line, BadLine):
            bad.append(line)
        else:
            shares = shares_answer(line, options.cache)
            good.append(Line(parsed=line, fingerprint=fingerprint(line.path, line.body) if shares else None))
            size += len(line.body)
        if len(good) + len(bad) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield Chunk(good, bad)
            good, bad, size = [], [], 0
    if good or bad:
        yield Chunk(good, bad)
