"""A server that says exactly the bytes a test wants, and remembers exactly the bytes it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[["Exchange"], Awaitable[None]]
Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Exchange:
    """One request as it came over the wire, and the connection to answer on."""

    def __init__(
        self, head: bytes, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head, self.body = head, body
        self.reader, self.writer = reader, writer

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> list[tuple[str, str]]:
        lines = self.head.decode().split("\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

    async def answer(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body: bytes, status: str = "200 OK", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.answer("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """Close with RST, not FIN."""
        self.writer.transport.abort()


class RawServer:
    """Listens on 127.0.0.1 and hands each request to `handler`; a handler that returns keeps the connection."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.port = 0
        self.connections = 0
        self.seen: list[Exchange] = []

    def url(self, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while not writer.is_closing():
            await self._one(reader, writer)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(length[0].partition(b":")[2])) if length else b""
        exchange = Exchange(head, body, reader, writer)
        self.seen.append(exchange)
        await self._handler(exchange)


@asynccontextmanager
async def listening(serve: Connected, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that runs `serve` for each connection; at the end all of them are closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await serve(reader, writer)
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(one(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, limit=1 << 26)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        # The transports close in the loop's next rounds.
        for _ in range(3):
            await asyncio.sleep(0)


@asynccontextmanager
async def raw_server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A RawServer, closed with all its connections at the end."""
    raw = RawServer(handler)
    async with listening(raw.serve, context) as raw.port:
        yield raw


async def ok(exchange: Exchange) -> None:
    await exchange.reply(b'{"ok": true}', Content_Type="application/json")
