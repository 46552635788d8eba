"""The program in processes of its own, and providers beside it: on a thread, or in a process."""

import asyncio
import http.client
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from batcher.simulate import RunningServer, SimulatedProvider, SimulatedServer
from tests.support.commands import Called, batcher, line

JOBS = Path(__file__).parents[2] / "jobs"
SHARED = Path(__file__).parents[3] / "shared"


class Provider:
    """A provider that listens at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        """What it has seen: `batcher.simulate.Stats`."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        try:
            connection.request("GET", "/simulate/stats")
            stats = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert isinstance(stats, dict)
        return stats

    @property
    def requests(self) -> int:
        """How many have come in."""
        return int(self.stats()["requests"])

    def wait_for(self, requests: int, *, patience: float = 30) -> None:
        """Until so many have come in. Fails where for so many seconds not one more comes, however slow all is."""
        seen, deadline = -1, 0.0
        while (now := self.requests) < requests:
            if now != seen:
                seen, deadline = now, time.monotonic() + patience
            assert time.monotonic() < deadline, (
                f"{seen} of {requests} requests came in, no more for {patience:g} s"
            )
            time.sleep(0.02)


@contextmanager
def provider(**settings: Any) -> Iterator[Provider]:
    """A simulated provider on a thread; it answers at once unless told otherwise."""
    started: Future[tuple[RunningServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        async with SimulatedServer(SimulatedProvider(**{"latency": 0, **settings})) as running:
            started.set_result((running, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    running, loop, over = started.result(10)
    try:
        yield Provider(running.url)
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)


@contextmanager
def provider_process(*, journal: Path | None = None, **settings: Any) -> Iterator[Provider]:
    """A simulated provider in a process of its own, so that it shares no time with the program under test."""
    told = json.dumps({"latency": 0, **settings})
    command = [sys.executable, str(Path(__file__).with_name("serving.py")), told, str(journal or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Provider(process.stdout.readline().strip())
        finally:
            process.kill()


#: (status, document) for a request's Authorization header and body.
Replies = Callable[[str, bytes], tuple[int, Any]]


@contextmanager
def replying(replies: Replies) -> Iterator[tuple[Provider, list[bytes]]]:
    """A server on a thread that says what it is told, and the bodies it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, document = replies(self.headers.get("Authorization", ""), bodies[-1])
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Provider(f"http://127.0.0.1:{server.server_port}/v1"), bodies
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


class Running:
    """The program, running in the background; what it says is gathered as it comes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._out, self._err = bytearray(), bytearray()
        self._readers = [
            threading.Thread(target=_gather, args=(stream, into), daemon=True)
            for stream, into in ((process.stdout, self._out), (process.stderr, self._err))
        ]
        for reader in self._readers:
            reader.start()
        self.pid = process.pid

    @property
    def said(self) -> bytes:
        """What stands on its stderr by now."""
        return bytes(self._err)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def send(self, which: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(which)

    def end(self, *, within: float = 60) -> tuple[int, str, str]:
        """Its exit code, stdout and stderr, once it has ended."""
        code = self._process.wait(within)
        for reader in self._readers:
            reader.join(within)
        return code, self._out.decode(), self._err.decode()

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self._process.kill()
        self.end()


class Terminal:
    """A terminal that the program believes it runs on."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self._shown = b""

    def shows(self, text: str, *, within: float = 30) -> bool:
        """Whether it comes to show this, among all that was ever drawn."""
        deadline = time.monotonic() + within
        while text.encode() not in self._shown and time.monotonic() < deadline:
            if select.select([self._ours], [], [], 0.1)[0]:
                self._shown += os.read(self._ours, 65_536)
        return text.encode() in self._shown

    def close(self) -> None:
        """Its window is closed: what is written to it from now on fails."""
        for end in (self._ours, self.theirs):
            os.close(end)


@contextmanager
def on_terminal(*args: object, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    """`batcher` on a terminal of its own."""
    terminal = Terminal()
    process = subprocess.Popen(
        [sys.executable, "-m", "batcher", *map(str, args)],
        stdin=terminal.theirs,
        stdout=terminal.theirs,
        stderr=terminal.theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80", **environ},
    )
    try:
        yield process, terminal
    finally:
        process.kill()
        process.wait()


def _gather(stream: IO[bytes], into: bytearray) -> None:
    with stream:
        for piece in iter(lambda: stream.read(65_536), b""):
            into.extend(piece)


@contextmanager
def running(*args: object, **environ: str) -> Iterator[Running]:
    """`batcher` in the working directory; what is left of it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batcher", *map(str, args)],
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environ},
    )
    program = Running(process)
    try:
        yield program
    except Exception as error:
        was = f"had ended ({process.returncode})" if program.is_over else "was running"
        error.add_note(f"batcher {' '.join(map(str, args))} {was} and had said: {program.said[-2_000:].decode()}")
        raise
    finally:
        program.kill()


def until(holds: Callable[[], bool], *, within: float = 30) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold in time"
        time.sleep(0.02)


def rows(count: int, name: str = "row") -> list[dict[str, Any]]:
    """Lines of a job file, each with a body like no other."""
    return [line(f"{name}-{number}") for number in range(count)]


def run_on(server: Provider, file: object, *args: object, stdin: str = "") -> Called:
    """`batcher run` of the file against the server."""
    return batcher("run", file, "--base-url", server.url, *args, stdin=stdin)


def jobs_now() -> list[dict[str, Any]]:
    """`batcher status --json`."""
    data = batcher("status", "--json").json["data"]
    assert isinstance(data, list)
    return data


def rows_of(path: Path | str) -> list[dict[str, Any]]:
    """The documents of a JSONL file."""
    return [json.loads(line) for line in Path(path).read_bytes().split(b"\n") if line]
