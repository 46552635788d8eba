"""The pieces of a submission but for the store: read, parse, fingerprint."""

from collections.abc import Sequence
from pathlib import Path

from batcher.domain.requests import Line, ParsedLine
from batcher.domain.states import CacheMode
from batcher.files.reading import read_lines
from batcher.files.source import open_source
from batcher.policy.input.deduplication import fingerprint, shares_answer
from batcher.policy.input.line_parser import parse_line
from tests.benchmarks.speed.alone.costing import Piece, exhaust, piece


def pieces(file: Path, counted: Path) -> list[Piece]:
    """Every line of the file, once a turn; `counted` has the same lines for a model whose tokens are counted."""
    texts, counted_texts = file.read_bytes().splitlines(), counted.read_bytes().splitlines()
    lines = parsed(texts)

    def read() -> None:
        with open_source(str(file)) as source:
            exhaust(read_lines(source, name=str(file)))

    return [
        piece("read", "the file cut into lines", read, len(texts)),
        piece("parse", "a line checked, its body cut out, tokens estimated", lambda: parsed(texts), len(texts)),
        piece(
            "parse, counted",
            "the same where the `tokens` extra counts",
            lambda: parsed(counted_texts),
            len(counted_texts),
        ),
        piece("fingerprint", "of path and body", lambda: prepared(lines), len(texts)),
    ]


def parsed(texts: Sequence[bytes]) -> list[ParsedLine]:
    """The lines checked; all of them are good."""
    checked = (parse_line(text, line=number, default_path=None) for number, text in enumerate(texts, 1))
    return [line for line in checked if isinstance(line, ParsedLine)]


def prepared(lines: Sequence[ParsedLine]) -> list[Line]:
    """The lines as the store takes them."""
    return [
        Line(
            parsed=line,
            fingerprint=fingerprint(line.path, line.body) if shares_answer(line, CacheMode.ALL) else None,
        )
        for line in lines
    ]
