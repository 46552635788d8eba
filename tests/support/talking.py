"""A server that says raw bytes, for commands that run in the test's own process."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Talks = Callable[[bytes, Callable[[bytes], None]], None]


@contextmanager
def talking(talks: Talks) -> Iterator[str]:
    """A server that says raw bytes for a request's body, one request a connection; its base URL."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = 0
            while (head := self.rfile.readline()) not in {b"\r\n", b""}:
                if head.lower().startswith(b"content-length:"):
                    length = int(head.partition(b":")[2])
            try:
                talks(self.rfile.read(length), self.connection.sendall)
            except OSError:
                return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join(10)
