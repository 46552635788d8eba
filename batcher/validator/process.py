"""The parent's side of the child process that validates structured output."""

import asyncio
import socket
import subprocess
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from batcher.domain.outcomes import Failure, Success
from batcher.interpreter import helper_command, helper_environment
from batcher.policy.classify.structured_output import asks_for_json, judge, requested_schema, unchecked
from batcher.validator import child

#: Seconds until an answer of the child is given up. The child's own limit of CPU time ends it much earlier, unless
#: the machine is very busy or the child was stopped.
_PATIENCE: Final = 30.0
#: A schema that has ended the child so often is not tried again, so that a job full of it goes on.
_MOST_DEATHS: Final = 3


class ValidatorProcess:
    """`ports.OutputValidator` in a child process, which is started for the first answer that needs it.

    Use it with `async with`. An answer that ends the child, or that it cannot check, counts as unchecked; the next
    one gets a new child. Answers are checked one at a time.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        #: How often in a row the child ended over an answer to each schema.
        self._deaths: Counter[bytes | None] = Counter()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kill()

    async def validate(self, success: Success, *, request: bytes, reply: bytes) -> Success | Failure:
        """See `ports.OutputValidator`."""
        if not asks_for_json(request):
            return success
        async with self._turn:
            if self._is_fatal(request):
                return unchecked(success)
            kind, text = await self._ask(request, reply)
            if self._deaths and self._process is not None:
                self._deaths.pop(requested_schema(request), None)
        return unchecked(success) if kind == child.UNCHECKED else judge(success, text or None)

    async def _ask(self, request: bytes, reply: bytes) -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await self._connection()
                writer.write(child.QUESTION.pack(len(request), len(reply)))
                writer.write(request)
                writer.write(reply)
                await writer.drain()
                kind, size = child.VERDICT.unpack(await reader.readexactly(child.VERDICT.size))
                return kind, (await reader.readexactly(size)).decode()
        except (OSError, EOFError):
            # Too slow (TimeoutError is an OSError), killed by its timer, or not to be started at all.
            if self._process is not None:
                self._deaths[requested_schema(request)] += 1
            self._kill()
            return child.UNCHECKED, ""
        except BaseException:
            # Cancelled in between: the next answer must not get this one's verdict.
            self._kill()
            raise

    def _is_fatal(self, request: bytes) -> bool:
        """Return whether the request's schema has ended the child so often that it is not tried again."""
        return bool(self._deaths) and self._deaths[requested_schema(request)] >= _MOST_DEATHS

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    self._process = _start(theirs)
                except BaseException:
                    ours.close()
                    raise
            self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        return self._reader, self._writer

    def _kill(self) -> None:
        if self._writer is not None:
            with suppress(RuntimeError):  # the event loop is closed
                self._writer.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._reader = self._writer = None


def _start(connection: socket.socket) -> subprocess.Popen[bytes]:
    """Start the child. Raises OSError if it cannot be started here."""
    command = helper_command(child.__name__)
    if command is None:
        raise FileNotFoundError("no Python interpreter can be started here")
    return subprocess.Popen(  # noqa: S603 - our own interpreter
        command,
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=helper_environment(),
        # In its own group, so that the terminal's signals reach only this process, which then ends the child.
        process_group=0,
    )
