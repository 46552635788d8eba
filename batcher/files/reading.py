"""Lines out of a job file, fast and within bounded memory, and its digest."""

import gzip
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import zstandard
from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.files.source import BLOCK, Readable, Source

#: Bytes of a line without its end; the CONTRACT's 64 MiB.
MAX_LINE: Final = 64 * 1024 * 1024
#: What is kept of a line that is longer.
KEPT_HEAD: Final = 8_000
_BOM: Final = b"\xef\xbb\xbf"


class RawLine(Struct, frozen=True):
    """One line that is not blank. `data` is None where it is over 64 MiB; then `head` is its beginning."""

    #: Physical line in the file, from 1; blank lines count.
    number: int
    data: bytes | None
    head: bytes = b""


def read_lines(source: Readable, *, name: str) -> Iterator[RawLine]:
    """Split on b"\\n" alone. A BOM, a trailing b"\\r" and blank lines are dropped; a last line needs no end.

    Raises InputError, naming `name`, where the file cannot be read or unpacked to its end.
    """
    number = 1
    line = _Unended()
    for block in _without_bom(_blocks(source, name)):
        first, *rest = block.split(b"\n")
        line.add(first)
        if not rest:
            continue
        yield from line.end(number)
        number += 1
        last = rest.pop()
        for data in rest:
            yield from _lines(data, number)
            number += 1
        line.add(last)
    yield from line.end(number)


def digest(source: Source) -> bytes:
    """SHA-256 of the decoded content; the source stands at its start again afterwards. Raises InputError."""
    source.rewind()
    hashed = sha256()
    for block in _blocks(source, source.name):
        hashed.update(block)
    source.rewind()
    return hashed.digest()


class _Unended:
    """A line whose end has not been read yet; holds no more than the cap."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        # One byte more than the cap may be the b"\r" of the line's end.
        if self._size <= MAX_LINE + 1:
            self._pieces.append(piece)
            self._size += len(piece)

    def end(self, number: int) -> Iterator[RawLine]:
        data = b"".join(self._pieces)
        self.__init__()
        return _lines(data, number)


def _lines(data: bytes, number: int) -> Iterator[RawLine]:
    if data[-1:] == b"\r":
        data = data[:-1]
    if len(data) > MAX_LINE:
        yield RawLine(number, None, data[:KEPT_HEAD])
    elif data and not data.isspace():
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
    """The content in blocks of about 1 MiB; what a decoder raises becomes an InputError."""
    try:
        while block := source.read(BLOCK):
            yield block
    except EOFError:
        hint = "it was cut off; copy or download it again"
        raise InputError(f"{name} ends in the middle of its compressed data", source=name, hint=hint) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        hint = "pack it again, or take .gz off its name if it is plain"
        raise InputError(f"{name} is not a whole gzip file: {error}", source=name, hint=hint) from None
    except zstandard.ZstdError as error:
        hint = "pack it again without --long, or take .zst off its name if it is plain"
        raise InputError(f"{name} is not a whole zstd file: {error}", source=name, hint=hint) from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}", source=name) from None
