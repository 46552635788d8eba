"""Who wrote a file: a job of this program, or a person. A person's file is never replaced or removed."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

from batcher.policy.output.line_author import LineAuthor, author_of_line

_BUFFER: Final = 1 << 20
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class NotOfAJob(Enum):
    """What a file is that no job wrote."""

    #: There is no such file, or it is empty.
    NOTHING = "nothing"
    #: A person's file, or a job's file that was edited or joined with another.
    FOREIGN = "foreign"


def author_of(path: Path, *, only: LineAuthor | None = None) -> LineAuthor | NotOfAJob:
    """Return the job of which every line of the file is. Results and errors are never in the same file.

    The whole file is read, because it may be a job's file to which a person has added lines; once, while it stays
    as it is, because a command asks several times. What cannot be read is foreign; with `only`, so is what begins
    as the file of another author.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return NotOfAJob.NOTHING
    except OSError:
        return NotOfAJob.FOREIGN
    return _read_author(path, only, (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=16)
def _read_author(path: Path, only: LineAuthor | None, _as_it_is: tuple[int, ...]) -> LineAuthor | NotOfAJob:
    """Return the author; `_as_it_is` is of a file that has not changed since it was read."""
    try:
        with _opened(path) as file:
            first = file.readline()
            if not first:
                return NotOfAJob.NOTHING
            author = author_of_line(first)
            if author is None or (only or author) != author:
                return NotOfAJob.FOREIGN
            return author if all(map(author.wrote_it(), file)) else NotOfAJob.FOREIGN
    except FileNotFoundError:
        return NotOfAJob.NOTHING
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return NotOfAJob.FOREIGN


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file, decompressed if it is compressed, whatever its name says."""
    with path.open("rb", buffering=_BUFFER) as file:
        start = file.read(len(_ZSTD_MAGIC))
        file.seek(0)
        if start.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file, mode="rb") as plain:
                yield cast("BinaryIO", plain)
        elif start.startswith(_ZSTD_MAGIC):
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
            with BufferedReader(cast("RawIOBase", reader), _BUFFER) as lines:
                yield cast("BinaryIO", lines)
        else:
            yield file
