"""Parse large job files in a subprocess, so that parsing and SQLite can use one core each.

Two threads of one interpreter used only one and a third cores (measured). The subprocess inherits the open file,
validates its lines and sends chunks through a pipe of its own, beginning with a word that only it knows. Small
files are parsed in this process, and so is every file if no interpreter can be started or something else answers.
"""

import fcntl
import os
import secrets
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import Struct as Packed
from typing import IO, Final

import msgspec
from msgspec import Struct, structs

from batcher.domain.errors import InputError
from batcher.domain.messages import pack, unpack
from batcher.domain.requests import ForeignLines
from batcher.files.reading import read_lines
from batcher.files.source import SharedFile, Source
from batcher.interpreter import helper_command, helper_environment, refuse_helper
from batcher.services.jobs.line_chunks import Chunk, ParseOptions, chunks
from batcher.services.runs.interpreter_tuning import tuned_for_throughput

#: Smallest file for a subprocess: starting one takes about 0.2 s, which a file of this size saves.
_MIN_BYTES: Final = 32 * 1024 * 1024
_SIZE: Final = Packed("<Q")
_PIPE_BYTES: Final = 1024 * 1024
#: No message is larger: a chunk holds a few MiB, or one line of at most 64 MiB.
_MOST_BYTES: Final = 1 << 30
#: Seconds in which the subprocess must have started.
_PATIENCE: Final = 30.0


class _Task(Struct, frozen=True):
    """The subprocess's task, passed as its only argument."""

    file: SharedFile
    options: ParseOptions
    #: The descriptor of the pipe, and the word that is its first content.
    pipe: int
    word: str


class _Refused(Struct, frozen=True, tag=True):
    """The file cannot be read to its end: the InputError to raise."""

    message: str
    hint: str | None
    forms: list["_Form"]


class _Form(Struct, frozen=True):
    """`ForeignLines`, with its hint packed."""

    form: str
    count: int
    first_line: int
    reason: str
    hint: str


class _End(Struct, frozen=True, tag=True):
    """All chunks were sent."""


_Message = Chunk | _Refused | _End
_MEMORY: Final = "free some, or raise the limit (`ulimit -v unlimited`), then try again; nothing was stored"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Message).decode


class _Reader(subprocess.Popen[bytes]):
    """The subprocess, and our end of its pipe."""

    pipe: IO[bytes]
    word: bytes

    def is_ready(self) -> bool:
        """Wait for the start; return False if it did not start, or something else did."""
        said, deadline = b"", time.monotonic() + _PATIENCE
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        while len(said) < len(self.word) and (left := deadline - time.monotonic()) > 0:
            if not poll.poll(1000 * left):
                continue
            part = os.read(self.pipe.fileno(), len(self.word) - len(said))
            said += part
            if not part:
                break
        return said == self.word

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.kill()
        self.pipe.close()
        with self:
            pass


@contextmanager
def read_chunks(source: Source, options: ParseOptions) -> Iterator[Iterator[Chunk]]:
    """Yield an iterator over the chunks of the source, from its start; the iterator raises InputError.

    The subprocess starts at once, so that it has made progress when the first chunk is needed.
    """
    refuse_helper()
    shared = source.shared()
    reader = _start(shared, options) if shared is not None and shared.size >= _MIN_BYTES else None
    if reader is None:
        yield _read_here(source, options)
        return
    try:
        yield _chunks_from(reader, source, options)
    finally:
        reader.close()


def _read_here(source: Source, options: ParseOptions) -> Iterator[Chunk]:
    return chunks(read_lines(source, name=source.name), options)


def _start(file: SharedFile, options: ParseOptions) -> _Reader | None:
    """Start the subprocess; None if it cannot be started here."""
    word = secrets.token_hex(16)
    ours, theirs = os.pipe()
    pipe = os.fdopen(ours, "rb")
    try:
        task = _Task(file, options, theirs, word)
        command = helper_command(__name__, msgspec.json.encode(task).decode())
        reader = None if command is None else _start_command(command, [file.descriptor, theirs])
    except OSError:
        reader = None
    finally:
        os.close(theirs)
    if reader is None:
        pipe.close()
        return None
    reader.pipe, reader.word = pipe, word.encode()
    with suppress(AttributeError, OSError):  # only Linux has it
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reader


def _start_command(command: list[str], descriptors: list[int]) -> _Reader:
    return _Reader(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=helper_environment(),
        pass_fds=descriptors,
        # In its own group, so that the terminal's signals reach only this process, which then ends the subprocess.
        process_group=0,
    )


def _receive(pipe: IO[bytes]) -> _Message | None:
    """Read the next message; None if the process has ended, or sent something else."""
    head = pipe.read(_SIZE.size)
    size = _SIZE.unpack(head)[0] if len(head) == _SIZE.size else _MOST_BYTES + 1
    if size > _MOST_BYTES:
        return None
    try:
        message: _Message = _decode(pipe.read(size))
    except msgspec.DecodeError:  # cut off
        return None
    return message


def _chunks_from(reader: _Reader, source: Source, options: ParseOptions) -> Iterator[Chunk]:
    if not reader.is_ready():
        # It did not even start, for instance because programs may not start others here.
        yield from _read_here(source, options)
        return
    while True:
        match _receive(reader.pipe):
            case Chunk() as chunk:
                yield chunk
            case _Refused() as refused:
                raise _error(refused, source)
            case _End():
                source.refuse_changed()
                return
            case _:
                raise _death_error(reader, source)


def _refused(error: InputError) -> _Refused:
    forms = [_Form(**{**structs.asdict(each), "hint": pack(each.hint)}) for each in error.forms]
    return _Refused(pack(error.message), None if error.hint is None else pack(error.hint), forms)


def _error(refused: _Refused, source: Source) -> InputError:
    forms = [ForeignLines(**{**structs.asdict(each), "hint": unpack(each.hint)}) for each in refused.forms]
    hint = None if refused.hint is None else unpack(refused.hint)
    return InputError(unpack(refused.message), source=source.name, forms=forms, hint=hint)


def _death_error(reader: _Reader, source: Source) -> Exception:
    stderr = reader.stderr.read().decode("utf-8", "replace") if reader.stderr is not None else ""
    code = reader.wait()
    if "MemoryError" in stderr:
        return InputError(
            f"{source.name} was not read to its end: there is not enough memory", source=source.name, hint=_MEMORY
        )
    if code >= 0:
        return RuntimeError(f"the process reading {source.name} exited with code {code}: {stderr}")
    return InputError(
        f"{source.name} was not read to its end: the process reading it was killed (signal {-code})",
        source=source.name,
        hint=f"perhaps memory ran out: {_MEMORY}",
    )


def main() -> None:
    """Run the subprocess: parse the file and send its chunks."""
    task = msgspec.json.decode(sys.argv[1], type=_Task)
    # A broken pipe means that the parent has exited; there is no one left to report to.
    with suppress(BrokenPipeError), os.fdopen(task.pipe, "wb", buffering=0) as pipe:
        _write(pipe, task.word.encode())
        with task.file.opened() as source, tuned_for_throughput(sys.getswitchinterval()):
            try:
                for chunk in chunks(read_lines(source, name=source.name), task.options):
                    _send(pipe, chunk)
                    del chunk  # otherwise two chunks are in memory while the next is made
            except InputError as error:
                _send(pipe, _refused(error))
            else:
                _send(pipe, _End())


def _send(pipe: IO[bytes], message: _Message) -> None:
    data = _encode(message)
    _write(pipe, _SIZE.pack(len(data)))
    _write(pipe, data)


def _write(pipe: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]
