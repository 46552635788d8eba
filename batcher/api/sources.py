"""What `submit` accepts: a path, or an iterable of request objects."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from batcher.config.paths import ca_path
from batcher.domain.errors import UsageError
from batcher.files.source import Source, open_source

#: A job file's path, or an iterable of request objects.
Rows = str | os.PathLike[str] | Iterable[Mapping[str, Any]]


def working_folder() -> Path:
    """Return the working directory. Raises UsageError if it is gone."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be found: {error.strerror}",
            hint="change to one that exists: os.chdir(PATH)",
        ) from None


def absolute_path(path: str | os.PathLike[str] | None) -> str | None:
    """Return the absolute path of a file that is read again whenever a job runs."""
    return None if path is None else ca_path(os.fspath(path), os.environ)


@contextmanager
def open_rows(source: Rows, *, name: str) -> Iterator[Source]:
    """Open the source as a job file. Objects are first written to an unnamed temporary file."""
    if isinstance(source, str | os.PathLike):
        with open_source(os.fspath(source)) as readable:
            yield readable
        return
    with tempfile.TemporaryFile(prefix="batcher-") as file:
        for number, row in enumerate(source, 1):
            file.write(_line(row, number, name) + b"\n")
        file.seek(0)
        yield Source(file, name=name, packing="")


def _line(row: Mapping[str, Any], number: int, name: str) -> bytes:
    if not isinstance(row, Mapping):
        raise UsageError(
            f"{name}: row {number} is a {type(row).__name__}, not a mapping", hint="give request objects"
        )
    try:
        return msgspec.json.encode(row)
    except (TypeError, msgspec.MsgspecError, ValueError) as error:
        raise UsageError(f"{name}: row {number} cannot be written as JSON: {error}") from error
