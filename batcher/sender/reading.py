"""Reads complete replies.

Long ones that arrive together wait for each other for a short time, to keep memory small.
"""

import asyncio
from typing import Final

from aiohttp import ClientResponse, StreamReader

from batcher.sender.faults import ReplyTooLarge

#: Bytes of all long replies that are being read. Above it, one continues and the others wait for their turn.
_MOST_AT_ONCE: Final = 256 << 20
#: Shorter replies are not counted.
_SHORT: Final = 1 << 20


class ReplyReader:
    """Reads the replies of one sender.

    `cap` is the maximum size of one reply in decoded bytes, `most_at_once` that of all long ones while they are
    read. A reply waits only during its first `patience` seconds, so that one that stalls does not time out the
    others.
    """

    def __init__(self, cap: int, *, patience: float, most_at_once: int = _MOST_AT_ONCE) -> None:
        self._cap = cap
        self._patience = patience
        self._most = most_at_once
        self._held = 0
        #: The reply that continues when the maximum is exceeded.
        self._first: StreamReader | None = None
        self._freed = asyncio.Event()

    async def read(self, response: ClientResponse) -> bytes:
        """Return the decoded body. Raises ReplyTooLarge as soon as it is longer than the cap."""
        content = response.content
        chunk = await content.readany()
        if content.at_eof() and len(chunk) <= self._cap:
            return chunk
        return await self._read_on(content, chunk)

    async def _read_on(self, content: StreamReader, chunk: bytes) -> bytes:
        chunks, size, held = [chunk], len(chunk), 0
        until = asyncio.get_running_loop().time() + self._patience
        try:
            while chunk:
                if size > self._cap:
                    raise ReplyTooLarge(self._cap)
                if content.at_eof():
                    break
                if size > _SHORT:
                    await self._room(content, size - held, until)
                    held = size
                chunk = await content.readany()
                chunks.append(chunk)
                size += len(chunk)
            return b"".join(chunks)
        finally:
            self._held -= held
            if self._first is content:
                self._first = None
            self._freed.set()

    async def _room(self, content: StreamReader, more: int, until: float) -> None:
        """Wait until so many more bytes may be held. What is not read meanwhile stays with the provider."""
        try:
            async with asyncio.timeout_at(until):
                while self._held + more > self._most and self._first not in {None, content}:
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            pass
        else:
            if self._held + more > self._most:
                self._first = content
        self._held += more
