"""Reads the lines of a job file, fast and in bounded memory, and computes its digest."""

import gzip
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import zstandard
from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.domain.requests import ForeignLines
from batcher.files.source import BLOCK, Readable, Source
from batcher.policy.input.file_forms import HEAD_BYTES, file_form
from batcher.policy.input.foreign_forms import Form
from batcher.policy.input.form_advice import advice, described
from batcher.policy.input.strict_json import MAX_LINE_BYTES

#: Bytes that are kept of a line that is too long.
KEPT_HEAD: Final = 8_000
_CTRL_Z: Final = b"\x1a"
#: Forms of which the lines are counted.
_OF_LINES: Final = frozenset({Form.CSV, Form.ARRAY, Form.PRETTY})
_BOM: Final = b"\xef\xbb\xbf"


class RawLine(Struct, frozen=True, gc=False):
    """One line that is not blank. If it is over 64 MiB, `data` is None and `head` is its beginning."""

    #: Physical line in the file, from 1; blank lines count.
    number: int
    data: bytes | None
    head: bytes = b""


def read_lines(source: Readable, *, name: str) -> Iterator[RawLine]:
    """Split at line feeds only.

    A BOM, a trailing CR, blank lines and the end marks of DOS (Ctrl-Z) are dropped; the last line needs no line
    feed.

    Raises InputError, with `name`, if the file is no JSON Lines at all, or cannot be read or decompressed to its
    end.
    """
    number = 1
    unended = _Unended()
    for block in _in_lines(_without_bom(_blocks(source, name)), name):
        pieces = block.split(b"\n")
        unended.add(pieces[0])
        if len(pieces) == 1:
            continue
        yield from unended.end(number)
        for at, data in enumerate(pieces[1:-1], number + 1):
            # Written inline because most lines pass here: a call for each would halve the speed.
            if data[-1:] == b"\r":
                data = data[:-1]  # noqa: PLW2901 - the line without its end
            if data and not data.isspace() and data != _CTRL_Z:
                yield RawLine(at, data)
        number += len(pieces) - 1
        unended.add(pieces[-1])
    unended.drop_end_mark()
    yield from unended.end(number)


def _in_lines(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the blocks. Raises InputError if the first one shows that they are no lines of JSON."""
    first = next(blocks, None)
    if first is None:
        return
    found = file_form(first[:HEAD_BYTES], name=name)
    if found is not None:
        lines = first.count(b"\n") + sum(block.count(b"\n") for block in blocks if found.form in _OF_LINES)
        form, hint = found.form, advice(found.form, name, keys=found.columns, delimiter=found.delimiter)
        what = described(form, columns=found.columns, lines=max(1, lines))
        of_form = ForeignLines(form=form.value, count=max(1, lines), first_line=1, reason=what, hint=hint)
        raise InputError(f"{name} {what}", source=name, forms=[of_form], hint=hint)
    yield first
    yield from blocks


def digest(source: Source) -> bytes:
    """Return the SHA-256 of the decoded content and rewind the source. Raises InputError."""
    source.rewind()
    hashed = sha256()
    for block in _blocks(source, source.name):
        hashed.update(block)
    source.rewind()
    return hashed.digest()


class _Unended:
    """A line whose end has not been read yet. If it is over the cap, only its beginning is kept."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Add the next piece of the line."""
        self._size += len(piece)
        # One byte above the cap may be the CR of the line's end.
        if self._size <= MAX_LINE_BYTES + 1:
            self._pieces.append(piece)
        else:
            self._pieces = [b"".join([*self._pieces, piece])[:KEPT_HEAD]] if self._pieces else []

    def drop_end_mark(self) -> None:
        """Drop Ctrl-Z, with which DOS and CP/M end a text, from the file's last line."""
        if self._pieces and self._pieces[-1].endswith(_CTRL_Z) and self._size <= MAX_LINE_BYTES:
            data = b"".join(self._pieces).rstrip(_CTRL_Z)
            self._pieces, self._size = [data], len(data)

    def end(self, number: int) -> Iterator[RawLine]:
        """Return the line, unless it is blank, and begin the next one."""
        size, data = self._size, b"".join(self._pieces)
        self._pieces, self._size = [], 0
        if data[-1:] == b"\r" and size == len(data):
            data = data[:-1]
            size -= 1
        if size > MAX_LINE_BYTES:
            yield RawLine(number, None, data[:KEPT_HEAD])
        elif data and not data.isspace() and data != _CTRL_Z:
            yield RawLine(number, data)


def _without_bom(blocks: Iterator[bytes]) -> Iterator[bytes]:
    start = b""
    for block in blocks:
        start += block
        if len(start) >= len(_BOM):
            break
    if start:
        yield start.removeprefix(_BOM)
    yield from blocks


def _blocks(source: Readable, name: str) -> Iterator[bytes]:
    """Yield the content in blocks of about 1 MiB. Errors of a decoder become InputError."""
    try:
        while block := source.read(BLOCK):
            yield block
    except EOFError:
        hint = "it was cut off; copy or download it again"
        raise InputError(f"{name} ends in the middle of its compressed data", source=name, hint=hint) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        hint = "compress it again, or remove .gz from its name if it is not compressed"
        raise InputError(f"{name} is not a whole gzip file: {error}", source=name, hint=hint) from None
    except zstandard.ZstdError as error:
        hint = "compress it again without --long, or remove .zst from its name if it is not compressed"
        raise InputError(f"{name} is not a whole zstd file: {error}", source=name, hint=hint) from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}", source=name) from None
