"""Lines of a job file in chunks, checked and fingerprinted: what is stored together."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from batcher.domain.requests import BadLine, Line
from batcher.domain.states import CacheMode
from batcher.files.reading import RawLine
from batcher.policy.fingerprint import fingerprint
from batcher.policy.repeats import shares_answer
from batcher.services.door import checked_lines

_CHUNK_ROWS: Final = 6_000
_CHUNK_BYTES: Final = 8 * 1024 * 1024


class Taking(Struct, frozen=True, kw_only=True):
    """How lines are taken."""

    #: Of bare bodies, a normalized path.
    url: str | None
    #: Which rows share answers.
    cache: CacheMode


class Chunk(Struct, frozen=True, tag=True, gc=False):
    """Some lines in file order, and those between them that were refused."""

    lines: list[Line]
    bad: list[BadLine]


def chunks(lines: Iterator[RawLine], taking: Taking) -> Iterator[Chunk]:
    """All lines, in order. Raises what `lines` raises."""
    good: list[Line] = []
    bad: list[BadLine] = []
    size = 0
    for line in checked_lines(lines, taking.url):
        if isinstance(line, BadLine):
            bad.append(line)
        else:
            shares = shares_answer(line, taking.cache)
            good.append(Line(parsed=line, fingerprint=fingerprint(line.path, line.body) if shares else None))
            size += len(line.body)
        if len(good) + len(bad) >= _CHUNK_ROWS or size >= _CHUNK_BYTES:
            yield Chunk(good, bad)
            good, bad, size = [], [], 0
    if good or bad:
        yield Chunk(good, bad)
