"""Files that are whole or not there: written beside their target, then renamed.

They hold prompts and answers, so they are made for their owner alone (0600), whatever the umask.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from batcher.domain.errors import BatcherError, UsageError

_BUFFER: Final = 1024 * 1024


def check_target(path: Path) -> None:
    """Raise UsageError where a file could not be written to `path`: before anything is sent, not after."""
    problem = _problem(path)
    if problem is not None:
        raise UsageError(problem, hint="name another output file")


@contextmanager
def write_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an exception.

    Until then, and after an exception, what was there stays. Raises BatcherError where it cannot be written, and
    for a link or a device at `path`: nothing is written through them.
    """
    problem = _problem(path)
    if problem is not None:
        raise BatcherError(problem, hint="name another output file")
    try:
        with _replacing(path) as file:
            yield file
    except OSError as error:
        hint = "free space or mend the folder's rights, then write it again; nothing is lost"
        raise BatcherError(f"cannot write {path}: {error.strerror or error}", hint=hint) from error


def remove_if_present(path: Path) -> None:
    """Remove a file (a link, not what it points to); nothing happens where there is none. Raises BatcherError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BatcherError(f"cannot remove {path}: {error.strerror}", hint="remove it by hand") from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the renaming last through a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _problem(path: Path) -> str | None:
    """Why nothing may be written to `path`, or None."""
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
    return None if os.access(folder, os.W_OK | os.X_OK) else f"the folder {folder} may not be written to"
