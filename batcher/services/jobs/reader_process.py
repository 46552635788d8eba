"""A large job file is read in a process of its own: so the lines and the store have a core each.

In two threads of one interpreter they had one and a third between them (measured). The other process is handed the
open file, checks its lines and sends chunks through a pipe. A small file does without, and so does a place where
no process can be started.
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
from batcher.files.source import Shared, Source
from batcher.services.jobs.line_chunks import Chunk, ParseOptions, chunks
from batcher.services.runs.interpreter_tuning import tuned_for_throughput

#: A process takes about 0.2 s to start and saves that on a file of this size.
_MIN_BYTES: Final = 32 * 1024 * 1024
_SIZE: Final = Packed("<Q")
_PIPE_BYTES: Final = 1024 * 1024


class _Task(Struct, frozen=True):
    """What the other process is to do, as its only argument."""

    file: Shared
    options: ParseOptions


class _Ready(Struct, frozen=True, tag=True):
    """It could be started; nothing has been read yet."""


class _Refused(Struct, frozen=True, tag=True):
    """The file cannot be read to its end."""

    message: str
    hint: str | None


class _End(Struct, frozen=True, tag=True):
    """All was sent."""


_Message = _Ready | Chunk | _Refused | _End
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Message).decode


@contextmanager
def read_chunks(source: Source, options: ParseOptions) -> Iterator[Iterator[Chunk]]:
    """The chunks of the source, from its start; InputError comes out where they are taken.

    The other process begins at once, so that it is well under way when the first chunk is asked for.
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


def _start(file: Shared, options: ParseOptions) -> subprocess.Popen[bytes] | None:
    """None: no process can be started here."""
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
    try:
        reader = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-I", "-c", program, msgspec.json.encode(_Task(file, options))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[file.descriptor],
            # What a terminal sends goes to this process alone, which then ends the other.
            process_group=0,
        )
    except OSError:
        return None
    with suppress(AttributeError, OSError):  # Linux alone has it
        fcntl.fcntl(_pipe(reader), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader


def _pipe(reader: subprocess.Popen[bytes]) -> IO[bytes]:
    assert reader.stdout is not None  # noqa: S101 - for the type checker: it was asked for
    return reader.stdout


def _receive(pipe: IO[bytes]) -> _Message | None:
    """What is told next; None: the process has ended."""
    size = pipe.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    try:
        told: _Message = _decode(pipe.read(*_SIZE.unpack(size)))
    except msgspec.DecodeError:  # cut off
        return None
    return told


def _chunks_from(reader: subprocess.Popen[bytes], source: Source, options: ParseOptions) -> Iterator[Chunk]:
    if not isinstance(_receive(_pipe(reader)), _Ready):
        # It did not even begin, as where programs are not allowed to start others.
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
    said = reader.stderr.read().decode("utf-8", "replace") if reader.stderr is not None else ""
    code = reader.wait()
    if code >= 0:
        return RuntimeError(f"the process that read {source.name} ended with {code}: {said}")
    return InputError(
        f"{source.name} was not read to its end: the process that read it was killed (signal {-code})",
        source=source.name,
        hint="was there too little memory? free some, then do it again: nothing was stored",
    )


def main() -> None:
    """The other process."""
    task = msgspec.json.decode(sys.argv[1], type=_Task)
    # Who would hear is gone where the pipe is broken: nobody waits for anything.
    with suppress(BrokenPipeError), os.fdopen(1, "wb", buffering=0) as pipe:
        _send(pipe, _Ready())
        with task.file.opened() as source, tuned_for_throughput(sys.getswitchinterval()):
            try:
                for chunk in chunks(read_lines(source, name=source.name), task.options):
                    _send(pipe, chunk)
                    del chunk  # or two are in memory while the next is made
            except InputError as error:
                _send(pipe, _Refused(error.message, error.hint))
            else:
                _send(pipe, _End())


def _send(pipe: IO[bytes], what: _Message) -> None:
    told = _encode(what)
    for part in (_SIZE.pack(len(told)), told):
        left = memoryview(part)
        while left:
            left = left[pipe.write(left) :]
