"""An endpoint on a thread that says what a test wants, by method and path; over TLS where it has a certificate."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Came:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Says:
    """A reply: a string is a page, anything else a JSON document."""

    status: int
    content: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        return "text/html" if isinstance(self.content, str) else "application/json"

    @property
    def bytes_(self) -> bytes:
        return self.content.encode() if isinstance(self.content, str) else json.dumps(self.content).encode()


@dataclass
class Endpoint:
    """Where it listens, and what has come in."""

    url: str
    came: list[Came]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that does not trust us hangs up; that is what the test is about."""


@contextmanager
def endpoint(says: Callable[[Came], Says], *, context: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Listens inside the block."""
    came: list[Came] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            came.append(Came(self.command, self.path, headers, self.rfile.read(length)))
            reply = says(came[-1])
            self.send_response(reply.status)
            fields = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.bytes_))}
            for name, value in (fields | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.bytes_)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Endpoint(f"http{'s' if context else ''}://127.0.0.1:{server.server_port}/v1", came)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@contextmanager
def connect_proxy(*, refuses: int | None = None) -> Iterator[tuple[str, list[str]]]:
    """A proxy that makes tunnels, or refuses them with a status; its URL, and the heads it was sent."""
    heads: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(client,), daemon=True).start()

    def one(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            heads.append(head.decode())
            if refuses is not None:
                client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % refuses)
                return
            host, _, port = head.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                back.start()
                _pump(client, server)
                back.join(5)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


MODELS = {"object": "list", "data": [{"id": "text-embedding-x"}, {"id": "chatty"}]}
ANSWER = {
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}


def error(message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error document."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def well(came: Came) -> Says:
    """An endpoint that is as it should be."""
    if came.method == "GET":
        return Says(200, MODELS)
    if "messages" not in came.json:
        return Says(400, error("Missing required parameter: 'messages'."))
    return Says(200, ANSWER)
