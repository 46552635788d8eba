"""The simulated provider on loopback: an aiohttp server around `Provider`, which decides every reply."""

import asyncio
import socket
import struct
from types import TracebackType
from typing import assert_never

import msgspec
from aiohttp import web

from batcher.ports import Clock
from batcher.simulate.faults import Manner
from batcher.simulate.journal import Entry, Journal
from batcher.simulate.problems import too_large
from batcher.simulate.provider import Arrival, Plan, Provider
from batcher.simulate.settings import SimulatedProvider

#: Path of the counts, outside `/v1`.
STATS_PATH = "/simulate/stats"

_LARGEST_BODY = 80 * 1024 * 1024
#: Thousands of clients may connect at once.
_BACKLOG = 4096
#: Seconds that requests in flight are given at the stop, which takes at most twice as long.
_GRACE = 0.5
#: SO_LINGER on, with 0 s: closing sends a RST instead of a FIN.
_LINGER_RESET = struct.pack("ii", 1, 0)


class RunningServer:
    """A provider that is listening. `url` is the base URL for clients: `http://127.0.0.1:PORT/v1`."""

    def __init__(self, runner: web.AppRunner, *, host: str, port: int, journal: Journal) -> None:
        self._runner = runner
        self.port = port
        self.url = f"http://{host}:{port}/v1"
        self.stats_url = f"http://{host}:{port}{STATS_PATH}"
        self.journal = journal

    async def stop(self) -> None:
        """Stop listening, give requests in flight half a second, then abort the rest. It can be called twice."""
        await self._runner.cleanup()
        self.journal.close()


class SimulatedServer:
    """`async with SimulatedServer(settings) as running:` listens inside the block."""

    def __init__(
        self, settings: SimulatedProvider, *, journal: Journal | None = None, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._clock = clock
        self._running: RunningServer | None = None

    async def __aenter__(self) -> RunningServer:
        """Start listening. Raises OSError if the port is taken."""
        self._running = await start(self._settings, journal=self._journal, clock=self._clock)
        return self._running

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        if self._running is not None:
            await self._running.stop()


async def start(
    settings: SimulatedProvider, *, journal: Journal | None = None, clock: Clock | None = None
) -> RunningServer:
    """Listen on the running event loop. `clock` provides the wall times of the journal.

    Raises OSError if the port is taken.
    """
    journal = journal or Journal()
    handler = _Handler(Provider(settings), journal, clock)
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.router.add_route("*", "/{path:.*}", handler.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=_BACKLOG).start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningServer(runner, host=settings.host, port=int(runner.addresses[0][1]), journal=journal)


class _Handler:
    """Receives requests and carries out the plans for them."""

    def __init__(self, provider: Provider, journal: Journal, clock: Clock | None) -> None:
        self._provider = provider
        self._journal = journal
        self._clock = clock
        self._loop = asyncio.get_running_loop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Handle one request from arrival to reply. Its time for the rate limits is the start of this call."""
        at = self._loop.time()
        if request.path == STATS_PATH:
            return _json(msgspec.json.encode(self._journal.stats()))
        wall = self._clock.now() if self._clock is not None else None
        plan = await self._judge(request, at)
        self._journal.begin(at=at, body=plan.digest, model=plan.model, tokens=plan.charged)
        status = None
        try:
            response = await self._carry_out(request, plan, at)
            status = None if plan.manner is Manner.RESET else plan.status
        finally:
            self._journal.end(plan.model, status, lambda: _entry(request, plan, at, wall, status))
        return response

    async def _judge(self, request: web.Request, at: float) -> Plan:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._provider.reject(too_large(_LARGEST_BODY))
        arrival = Arrival(at=at, method=request.method, path=request.path, key=_key(request), body=body)
        return self._provider.receive(arrival)

    async def _carry_out(self, request: web.Request, plan: Plan, at: float) -> web.StreamResponse:
        if plan.delay:
            await asyncio.sleep(plan.delay)
        now = self._loop.time()
        self._provider.produced(now, plan)
        headers = {**plan.headers, "openai-processing-ms": str(int((now - at) * 1000))}
        match plan.manner:
            case Manner.WHOLE:
                headers["content-type"] = plan.content_type
                return web.Response(status=plan.status, body=plan.body, headers=headers)
            case Manner.CUT:
                return await _cut(request, plan, headers)
            case Manner.RESET:
                return _reset(request)
            case _:
                assert_never(plan.manner)


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _key(request: web.Request) -> str | None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else None


async def _cut(request: web.Request, plan: Plan, headers: dict[str, str]) -> web.StreamResponse:
    """Announce the whole body, send half of it, and close the connection."""
    headers["content-length"] = str(len(plan.body))
    headers["content-type"] = plan.content_type
    response = web.StreamResponse(status=plan.status, headers=headers)
    await response.prepare(request)
    await response.write(plan.body[: len(plan.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _reset(request: web.Request) -> web.StreamResponse:
    """Reset the connection before a byte is sent; the returned response is never sent."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        request.transport.abort()
    return web.Response()


def _entry(request: web.Request, plan: Plan, at: float, wall: int | None, status: int | None) -> Entry:
    return Entry(
        at=at,
        wall=wall,
        method=request.method,
        path=request.path,
        model=plan.model,
        body=plan.digest.hex(),
        status=status,
        charge=plan.charged,
        client_request_id=request.headers.get("x-client-request-id"),
    )
