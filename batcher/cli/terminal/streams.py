"""stdout and stderr that cannot be written: closed, a reader that has exited, a closed terminal, a full disk."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from batcher.domain.errors import BatcherError
from batcher.policy.privacy.sanitize import sanitize_json

#: The reader has exited (a pipe), or the terminal was closed: the write cannot be reported either.
_READER_IS_GONE: Final = frozenset({errno.EPIPE, errno.EIO})


def prepare_streams() -> None:
    """Make both streams usable for the whole process.

    If one was closed before the start (`1>&-`), what is written to it is discarded. A character that the terminal
    cannot encode is replaced; it must not fail the command.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - the same
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


@contextmanager
def writing_stdout() -> Iterator[None]:
    """Raise BatcherError if stdout cannot be written, as on a full disk; OSError if its reader is gone."""
    try:
        yield
    except OSError as error:
        if error.errno in _READER_IS_GONE:
            raise
        discard(sys.stdout)
        raise BatcherError(
            f"stdout cannot be written: {error.strerror or error}",
            hint="free space where it is redirected to, then run the command again",
        ) from error


class StdoutWriter:
    """Writes lines to stdout; see `writing_stdout`. `flush` must be called at the end."""

    def write(self, line: bytes, /) -> int:
        """Write a line: to a terminal with control characters as JSON escapes, else the unchanged bytes."""
        with writing_stdout():
            return sys.stdout.buffer.write(sanitize_json(line) if sys.stdout.isatty() else line)

    def flush(self) -> None:
        """Write what is still in the buffer."""
        with writing_stdout():
            sys.stdout.buffer.flush()


def discard(stream: TextIO) -> None:
    """Discard what the stream still holds and all that is written to it from now on."""
    # A stream of a notebook or of a test has no descriptor.
    with suppress(OSError, ValueError):
        to = os.open(os.devnull, os.O_WRONLY)
        os.dup2(to, stream.fileno())
        os.close(to)


def flush_or_discard() -> None:
    """Empty both streams before the process ends: Python exits with 120 if it cannot flush one."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            discard(stream)
