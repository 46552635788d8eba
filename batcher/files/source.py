"""A job file opened for reading: plain, gzip, zstd or stdin, decoded, and able to start again.

The file's extension says how it is compressed; without one, its first bytes do. What cannot be read twice
(stdin, a pipe) is first copied to an unlinked temporary file.
"""

import gzip
import io
import os
import re
import shlex
import shutil
import stat
import sys
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, Self
from unicodedata import normalize

import zstandard
from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.policy.privacy.sanitize import is_utf8

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN: Final = "-"
#: What messages and stored jobs call stdin.
_STDIN_NAME: Final = "<stdin>"
#: Names of a descriptor of this process: `/dev/stdin`, and what a shell writes for `<(command)`.
_DESCRIPTOR: Final = re.compile(r"/dev/(stdin|fd/[0-9]+)|/proc/(self|thread-self|[0-9]+)/fd/[0-9]+")
BLOCK: Final = 1024 * 1024
#: Compressed bytes that are decompressed at once. zstd can compress 128 KiB into 4 bytes, so this bounds memory to
#: 32 MiB.
_ZSTD_BLOCK: Final = 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"


class Readable(Protocol):
    """What lines are read from: any binary file."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; b"" at the end."""
        ...


class SharedFile(Struct, frozen=True):
    """A source to hand to another process: an open file and its size."""

    descriptor: int
    size: int
    name: str
    packing: str

    def opened(self) -> "Source":
        """Return the source in that process, from its start, independent of the position here."""
        return Source(io.BufferedReader(_Positioned(self.descriptor), BLOCK), name=self.name, packing=self.packing)


class _Positioned(io.RawIOBase):
    """A file with its own position, because inherited descriptors share one."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0

    def fileno(self) -> int:
        return self._descriptor

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        with memoryview(buffer) as room:
            block = os.pread(self._descriptor, len(room), self._at)
            room[: len(block)] = block
        self._at += len(block)
        return len(block)


class Source:
    """The decoded content of a job file. `name` is its name in messages."""

    def __init__(self, raw: IO[bytes], *, name: str, packing: str) -> None:
        self.name = name
        self._raw = raw
        self._packing = packing
        self._decoded = self._decoder()
        self._as_opened = _stamp(raw)

    def read(self, size: int, /) -> bytes:
        """Return at most `size` decoded bytes; b"" at the end. Raises what the decoder raises; see `reading`.

        Raises InputError at the end if the path is no longer the file that was opened. The file is read twice, and
        its digest must be that of the content whose lines are stored.
        """
        block = self._decoded.read(size)
        if not block:
            self.refuse_changed()
        return block

    def refuse_changed(self) -> None:
        """Raise InputError if the path is no longer the file that was opened."""
        if _stamp(self._raw) != self._as_opened:
            raise InputError(
                f"{self.name} was changed while it was read",
                source=self.name,
                hint="run it again once nothing writes to it",
            )

    def shared(self) -> SharedFile | None:
        """Return the source for another process; None if it is not a file of the system."""
        if self._as_opened is None:
            return None
        return SharedFile(self._raw.fileno(), self._as_opened[0], self.name, self._packing)

    def rewind(self) -> None:
        """Start again at the first byte."""
        self._raw.seek(0)
        self._decoded = self._decoder()

    def close(self) -> None:
        """Close the file. A temporary copy is deleted with it."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decoder(self) -> Readable:
        match self._packing:
            case ".gz":
                return gzip.GzipFile(fileobj=self._raw, mode="rb")
            case ".zst":
                return _ZstdReader(self._raw)
            case _:
                return self._raw


def _stamp(raw: IO[bytes]) -> tuple[int, int] | None:
    """Return size and time of the last change; None if it is not a file of the system."""
    try:
        found = os.fstat(raw.fileno())
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class _ZstdReader:
    """Reads zstd frames one after another. The library's own stream reader takes a truncated frame for the end."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        self._ready = bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._ready) < size and self._unpack():
            pass
        taken = bytes(self._ready[:size])
        del self._ready[:size]
        return taken

    def _unpack(self) -> bool:
        """Decompress the next part; False at the end. Raises EOFError if the file ends inside a frame."""
        packed = self._packed or self._raw.read(_ZSTD_BLOCK)
        if not packed:
            if self._frame is not None:
                raise EOFError("the file ends inside a zstd frame")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready += self._frame.decompress(packed)
        self._packed = b""
        if self._frame.eof:
            self._packed = self._frame.unused_data
            self._frame = None
        return True


def is_stdin(path: str) -> bool:
    """Return whether the path is stdin or another open descriptor, which ends with this process."""
    return path == STDIN or _DESCRIPTOR.fullmatch(path) is not None


def open_source(path: str) -> Source:
    """Open a job file by its path, or stdin as `-`; see `is_stdin`. Raises InputError if it cannot be read."""
    if path == STDIN:
        return _spooled_stdin()
    if not is_utf8(path):
        raise InputError(f"{path} is not UTF-8", source=path, hint="rename the file")
    try:
        raw = open(path, "rb", buffering=BLOCK)  # noqa: PTH123, SIM115 - the path as spelled; Source closes it
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a job file", source=path, hint="name a file in it") from None
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", source=path, hint=_near(path) or "check the path") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be read: {why}", source=path, hint="check its permissions") from None
    found = os.fstat(raw.fileno())
    name = _STDIN_NAME if is_stdin(path) else path
    if stat.S_ISREG(found.st_mode):
        return _source(raw, name)
    with raw:
        if stat.S_ISBLK(found.st_mode) or (stat.S_ISCHR(found.st_mode) and not raw.isatty()):
            # /dev/zero has no end.
            raise InputError(
                f"{path} is a device, not a job file", source=path, hint="name a file, or pipe one in"
            )
        return _source(_spool(raw, name), name)


def _near(path: str) -> str | None:
    """Return advice that names a file of the same folder that was probably meant, if there is one."""
    folder, wanted = os.path.split(path)
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - the names as they are
    except (OSError, ValueError):
        return None
    alike = [name for name in names if is_utf8(name)]
    same = next((name for name in alike if normalize("NFC", name) == normalize("NFC", wanted)), None)
    if same is not None:
        # Both look the same on a screen. macOS and archives made there have the other spelling.
        return "a file whose name only looks the same is there: `ls` and complete the name with Tab, or rename it"
    near = get_close_matches(wanted, alike, n=1, cutoff=0.75)
    return f"did you mean {shlex.quote(str(Path(folder, near[0])))}?" if near else None


def _spooled_stdin() -> Source:
    if sys.stdin is None:
        raise InputError("stdin is closed", source=_STDIN_NAME, hint="name a job file, or pipe one in")
    return _source(_spool(sys.stdin.buffer, _STDIN_NAME), _STDIN_NAME)


def _spool(raw: IO[bytes], name: str) -> IO[bytes]:
    """Copy everything to an unnamed temporary file, which disappears with the process."""
    copy = tempfile.TemporaryFile(prefix="batcher-", buffering=BLOCK)  # noqa: SIM115 - Source closes it
    try:
        shutil.copyfileobj(raw, copy, BLOCK)
        copy.seek(0)
    except OSError as error:
        copy.close()
        hint = f"free space in {tempfile.gettempdir()}, set TMPDIR, or store the input in a file first"
        raise InputError(
            f"{name} cannot be kept while it is read: {error.strerror}", source=name, hint=hint
        ) from None
    return copy


def _source(raw: IO[bytes], name: str) -> Source:
    try:
        packing = _packing(raw, name)
    except OSError as error:
        raw.close()
        raise InputError(f"{name} cannot be read: {error.strerror}", source=name) from None
    return Source(raw, name=name, packing=packing)


def _packing(raw: IO[bytes], name: str) -> str:
    """Return `.gz`, `.zst`, or "" for plain. No line of JSON begins with the first bytes of the other two."""
    for ending in (".gz", ".zst"):
        if name.lower().endswith(ending):
            return ending
    first = raw.read(len(_ZSTD_MAGIC))
    raw.seek(0)
    if first.startswith(_GZIP_MAGIC):
        return ".gz"
    return ".zst" if first == _ZSTD_MAGIC else ""
