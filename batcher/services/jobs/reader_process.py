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
from batcher.services.jobs.line_chunks import Chunk, Taking, chunks
from batcher.services.runs.interpreter_tuning import busy

#: A process takes about 0.2 s to start and saves that on a file of this size.
_WORTH_BYTES: Final = 32 * 1024 * 1024
_SIZE: Final = Packed("<Q")
_PIPE_BYTES: Final = 1024 * 1024


class _Order(Struct, frozen=True):
    """What the other process is to do, as its only argument."""

    file: Shared
    taking: Taking


class _Ready(Struct, frozen=True, tag=True):
    """It could be started; nothing has been read yet."""


class _Refused(Struct, frozen=True, tag=True):
    """The file cannot be read to its end."""

    message: str
    hint: str | None


class _End(Struct, frozen=True, tag=True):
    """All was sent."""


_Told = _Ready | Chunk | _Refused | _End
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Told).decode


@contextmanager
def reading(source: Source, taking: Taking) -> Iterator[Iterator[Chunk]]:
    """The chunks of the source, from its start; InputError comes out where they are taken.

    The other process begins at once, so that it is well under way when the first chunk is asked for.
    """
    shared = source.shared()
    reader = _start(shared, taking) if shared is not None and shared.size >= _WORTH_BYTES else None
    if reader is None:
        yield _read_here(source, taking)
        return
    with reader:
        try:
            yield _received(reader, source, taking)
        finally:
            reader.kill()


def _read_here(source: Source, taking: Taking) -> Iterator[Chunk]:
    return chunks(read_lines(source, name=source.name), taking)


def _start(file: Shared, taking: Taking) -> subprocess.Popen[bytes] | None:
    """None: no process can be started here."""
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
    try:
        reader = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-I", "-c", program, msgspec.json.encode(_Order(file, taking))],
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


def _hear(pipe: IO[bytes]) -> _Told | None:
    """What is told next; None: the process has ended."""
    size = pipe.read(_SIZE.size)
    if len(size) < _SIZE.size:
        return None
    try:
        told: _Told = _decode(pipe.read(*_SIZE.unpack(size)))
    except msgspec.DecodeError:  # cut off
        return None
    return told


def _received(reader: subprocess.Popen[bytes], source: Source, taking: Taking) -> Iterator[Chunk]:
    if not isinstance(_hear(_pipe(reader)), _Ready):
        # It did not even begin, as where programs are not allowed to start others.
        yield from _read_here(source, taking)
        return
    while True:
        match _hear(_pipe(reader)):
            case Chunk() as chunk:
                yield chunk
            case _Refused(message, hint):
                raise InputError(message, source=source.name, hint=hint)
            case _End():
                source.refuse_changed()
                return
            case _:
                raise _has_died(reader, source)


def _has_died(reader: subprocess.Popen[bytes], source: Source) -> Exception:
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
    order = msgspec.json.decode(sys.argv[1], type=_Order)
    # Who would hear is gone where the pipe is broken: nobody waits for anything.
    with suppress(BrokenPipeError), os.fdopen(1, "wb", buffering=0) as pipe:
        _tell(pipe, _Ready())
        with order.file.opened() as source, busy(sys.getswitchinterval()):
            try:
                for chunk in chunks(read_lines(source, name=source.name), order.taking):
                    _tell(pipe, chunk)
                    del chunk  # or two are in memory while the next is made
            except InputError as error:
                _tell(pipe, _Refused(error.message, error.hint))
            else:
                _tell(pipe, _End())


def _tell(pipe: IO[bytes], what: _Told) -> None:
    told = _encode(what)
    for part in (_SIZE.pack(len(told)), told):
        left = memoryview(part)
        while left:
            left = left[pipe.write(left) :]
