"""Files that are complete or absent: written beside their target, then renamed.

They contain prompts and answers, so only their owner may read them (0600), whatever the umask. A name that ends in
`.gz` or `.zst` is written compressed; the same content always gives the same bytes.
"""

import errno
import gzip
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TextIO, cast

import zstandard

from batcher import os_locks
from batcher.domain.errors import BatcherError, UsageError

_BUFFER: Final = 1024 * 1024
_PRIVATE: Final = 0o600
_TEMPORARY: Final = ".tmp"
#: The disk could not take what was written to a folder. Any other error of a flush means that this file system, or
#: its rights, have no flush for folders: the file is in place all the same.
_DISK_ERRORS: Final = frozenset({errno.EIO, errno.ENOSPC, errno.EDQUOT})


_STDOUT: Final = re.compile(r"-|/dev/(stdout|fd/1)|/proc/self/fd/1")


class Writable(Protocol):
    """What lines are written to: any binary file."""

    def write(self, data: bytes, /) -> object:
        """Write all of it."""
        ...


def is_stdout(path: str) -> bool:
    """Return whether the path of an output means stdout: `-`, or a name that the system has for it."""
    return _STDOUT.fullmatch(path) is not None


def is_stream(path: str) -> bool:
    """Return whether a pipe or a device is at the path, such as `/dev/null` or `>(command)`."""
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


@contextmanager
def open_stream(path: str) -> Iterator[BinaryIO]:
    """Open a pipe or a device for writing. Raises BatcherError if it cannot be written."""
    try:
        with Path(path).open("wb", buffering=_BUFFER) as stream:
            yield stream
    except BrokenPipeError:
        # Its reader has read enough.
        raise
    except OSError as error:
        raise BatcherError(
            f"cannot write {path}: {error.strerror or error}", hint="name another output file"
        ) from error


def check_target(path: Path) -> None:
    """Raise UsageError if a file could not be written to `path`. Called before anything is sent, not after."""
    problem = _problem(path) or _trial_problem(path)
    if problem is not None:
        raise UsageError(problem, hint="name another output file")


def append_to(path: str) -> TextIO:
    """Open a log for appending; a new one is created with mode 0600. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    return os.fdopen(handle, "a", encoding="utf-8", errors="backslashreplace")


@contextmanager
def write_atomically(path: Path, *, before_replacing: Callable[[], None] = lambda: None) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without an exception; compressed if its name says so.

    Until then, and after an exception, the old file stays. Raises BatcherError if it cannot be written, and if
    `path` is a symbolic link or a device: nothing is written through them. `before_replacing` is called when all
    is written; if it raises, nothing is replaced.
    """
    problem = _problem(path)
    if problem is not None:
        raise BatcherError(problem, hint="name another output file")
    try:
        with _replacing(path, before_replacing) as file, _encoded(path, file) as plain:
            yield plain
    except OSError as error:
        hint = "free disk space or correct the folder's permissions, then write it again; nothing is lost"
        raise BatcherError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def remove_if_present(path: Path) -> None:
    """Remove a file (a symbolic link, not its target), if there is one. Raises BatcherError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BatcherError(f"cannot remove {path}: {error.strerror}", hint="remove it by hand") from error


@contextmanager
def _encoded(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    """Compress what is written as the name says. No name and no time are part of it."""
    match path.suffix.lower():
        case ".gz":
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        case ".zst":
            with zstandard.ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False) as packed:
                yield cast("BinaryIO", packed)
        case _:
            yield file


@contextmanager
def _replacing(path: Path, before_replacing: Callable[[], None]) -> Iterator[BinaryIO]:
    remove_left_over(path)
    handle, name = _make_temporary(path)
    try:
        with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            before_replacing()
            # Renamed before it is closed, because closing releases the lock.
            Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def _make_temporary(path: Path) -> tuple[int, str]:
    """Create a new file beside `path`. It is locked while its descriptor is open, so others see it is in use."""
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_TEMPORARY, dir=path.parent)
        # On a file system without locks, no leftover files are ever removed either.
        with suppress(OSError):
            os_locks.lock(handle)
        if os.fstat(handle).st_nlink:
            return handle, name
        # Another process removed it as a leftover before it was locked.
        os.close(handle)


def remove_left_over(path: Path) -> None:
    """Remove temporary files of `path` whose writer was killed. Those that are being written are locked."""
    pattern = re.compile(re.escape(_prefix(path)) + r"[a-z0-9_]{8}" + re.escape(_TEMPORARY))
    with suppress(OSError), os.scandir(path.parent) as entries:
        left = [entry.path for entry in entries if pattern.fullmatch(entry.name)]
        for name in left:
            _remove_if_free(name)


def _remove_if_free(name: str) -> None:
    with suppress(OSError):
        handle = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if os_locks.try_lock(handle) and stat.S_ISREG(os.fstat(handle).st_mode):
                os.unlink(name)  # noqa: PTH108 - the name as the folder gave it
        finally:
            os.close(handle)


def _prefix(path: Path) -> str:
    # A name has at most 255 bytes.
    return f".{path.name.encode()[:200].decode(errors='ignore')}."


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure, if the folder can be flushed. Not every file system can.

    A folder that may be written but not read (mode 0300) cannot be opened for it either.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise


def _problem(path: Path) -> str | None:
    """Return why nothing may be written to `path`, or None."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return _folder_problem(path.parent)
    except (OSError, ValueError) as error:
        return f"cannot write {path}: {error}"
    if stat.S_ISLNK(mode):
        return f"{path} is a symbolic link (to {path.readlink()}); it is not written through"
    if stat.S_ISDIR(mode):
        return f"{path} is a folder"
    return _folder_problem(path.parent) if stat.S_ISREG(mode) else f"{path} is not a regular file"


def _folder_problem(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"the folder {folder} does not exist"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} is not writable"


def _trial_problem(path: Path) -> str | None:
    """Return why no file can be made beside `path`. The mode of a folder does not say it everywhere.

    A folder can be immutable, on a full disk, over a quota, or of a kind in which only the system makes files.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_TEMPORARY, dir=path.parent)
    except OSError as error:
        return f"no file can be made in the folder {path.parent}: {error.strerror}"
    os.close(handle)
    with suppress(OSError):
        os.unlink(name)  # noqa: PTH108 - the name as it was made
    return None
