"""Parse large job files in a subprocess, so that parsing and SQLite can use one core each.

Two threads of one interpreter used only one and a third cores (measured). The subprocess inherits the open file,
validates its lines and sends chunks through a pipe. Small files are parsed in this process, and so is every file
if no subprocess can be started.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import Struct as Packed
from typing import IO, Final

import msgspec
from msgspec import Struct

from batcher.domain.errors import InputError
from batcher.files.reading import read_lines
from batcher.files.source import SharedFile, Source
from batcher.services.jobs.line_chunks import Chunk, ParseOptions, chunks
from batcher.services.runs.interpreter_tuning import tuned_for_throughput

#: Smallest file for a subprocess: starting one takes about 0.2 s, which a file of this size saves.
_MIN_BYTES: Final = 32 * 1024 * 1024
_SIZE: Final = Packed("<Q")
_PIPE_BYTES: Final = 1024 * 1024


class _Task(Struct, frozen=True):
    """The subprocess's task, passed as its only argument."""

    file: SharedFile
    options: ParseOptions


class _Ready(Struct, frozen=True, tag=True):
    """The subprocess has started; it has read nothing yet."""


class _Refused(Struct, frozen=True, tag=True):
    """The file cannot be read to its end: the InputError to raise."""

    message: str
    hint: str | None


class _End(Struct, frozen=True, tag=True):
    """All chunks were sent."""


_Message = _Ready | Chunk | _Refused | _End
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Message).decode


@contextmanager
def read_chunks(source: Source, options: ParseOptions) -> Iterator[Iterator[Chunk]]:
    """Yield an iterator over the chunks of the source, from its start; the iterator raises InputError.

    The subprocess starts at once, so that it has made progress when the first chunk is needed.
    """
    shared = source.shared()
    reader = _start(shared, options) if shared is not None and shared.size >= _MIN_BYTES else None
    if reader is None:
        yield _read_here(source, options)
        return
    with reader:
        try:
            yield _chunks_from(reader, source, options)
        finally:
            reader.kill()


def _read_here(source: Source, options: ParseOptions) -> Iterator[Chunk]:
    return chunks(read_lines(source, name=source.name), options)


def _start(file: SharedFile, options: ParseOptions) -> subprocess.Popen[bytes] | None:
    """Start the subprocess; None if it cannot be started here."""
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
    try:
        reader = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-I", "-c", program, msgspec.json.encode(_Task(file, options))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[file.descriptor],
            # In its own group, so that the terminal's signals reach only this process, which then ends the
            # subprocess.
            process_group=0,
        )
    except OSError:
        return None
    with suppress(AttributeError, OSError):  # only Linux has it
        fcntl.fcntl(_pipe(reader), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader


def _pipe(reader: subprocess.Popen[bytes]) -> IO[bytes]:
    assert reader.stdout is not None  # noqa: S101 - for the type checker: PIPE was requested
    return reader.stdout


def _receive(pipe: IO[bytes]) -> _Message | None:
    """Read the next message; None if the process has ended."""
    size = pipe.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    try:
        message: _Message = _decode(pipe.read(*_SIZE.unpack(size)))
    except msgspec.DecodeError:  # cut off
        return None
    return message


def _chunks_from(reader: subprocess.Popen[bytes], source: Source, options: ParseOptions) -> Iterator[Chunk]:
    if not isinstance(_receive(_pipe(reader)), _Ready):
        # It did not even start, for instance because programs may not start others here.
        yield from _read_here(source, options)
        return
    while True:
        match _receive(_pipe(reader)):
            case Chunk() as chunk:
                yield chunk
            case _Refused(message, hint):
                raise InputError(message, source=source.name, hint=hint)
            case _End():
                source.refuse_changed()
                return
            case _:
                raise _death_error(reader, source)


def _death_error(reader: subprocess.Popen[bytes], source: Source) -> Exception:
    stderr = reader.stderr.read().decode("utf-8", "replace") if reader.stderr is not None else ""
    code = reader.wait()
    if code >= 0:
        return RuntimeError(f"the process reading {source.name} exited with code {code}: {stderr}")
    return InputError(
        f"{source.name} was not read to its end: the process reading it was killed (signal {-code})",
        source=source.name,
        hint="perhaps memory ran out: free some, then try again; nothing was stored",
    )


def main() -> None:
    """Run the subprocess: parse the file and send its chunks."""
    task = msgspec.json.decode(sys.argv[1], type=_Task)
    # A broken pipe means that the parent has exited; there is no one left to report to.
    with suppress(BrokenPipeError), os.fdopen(1, "wb", buffering=0) as pipe:
        _send(pipe, _Ready())
        with task.file.opened() as source, tuned_for_throughput(sys.getswitchinterval()):
            try:
                for chunk in chunks(read_lines(source, name=source.name), task.options):
                    _send(pipe, chunk)
                    del chunk  # otherwise two chunks are in memory while the next is made
            except InputError as error:
                _send(pipe, _Refused(error.message, error.hint))
            else:
                _send(pipe, _End())


def _send(pipe: IO[bytes], message: _Message) -> None:
    data = _encode(message)
    for part in (_SIZE.pack(len(data)), data):
        left = memoryview(part)
        while left:
            left = left[pipe.write(left) :]
