"""A gateway before the provider that lies about what the provider said: once about a row, or always.

Each lie is a function from the provider's true reply to the bytes that go out in its place.
"""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.support.programs import Provider


@dataclass(frozen=True)
class Truth:
    """What the provider answered."""

    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(frozen=True)
class Lie:
    """What goes out, piece by piece, and what must come of it."""

    pieces: Callable[[Truth], Iterator[bytes]]
    #: Whether the row must be sent again for its answer.
    again: bool
    #: Whether the provider is asked at all.
    asks: bool = True


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | str | None = None) -> bytes:
    """A reply on the wire; `length` in the place of the true one."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _json(body: bytes, *headers: str) -> bytes:
    return reply(body, "Content-Type: application/json", *headers)


def _says(document: Any) -> Lie:
    """A whole 200 with this in the place of the answer."""
    return Lie(lambda _: iter([_json(json.dumps(document).encode())]), again=True)


def _usage(usage: Any) -> Lie:
    return Lie(lambda truth: iter([_json(json.dumps({**truth.document, "usage": usage}).encode())]), again=False)


def _headers(*headers: str) -> Lie:
    """The true answer, with these headers."""
    return Lie(lambda truth: iter([_json(truth.body, *headers)]), again=False)


def _limits(limit: str, remaining: str, reset: str) -> Lie:
    return _headers(
        *(
            f"x-ratelimit-{what}-{unit}: {value}"
            for what, value in (("limit", limit), ("remaining", remaining), ("reset", reset))
            for unit in ("requests", "tokens")
        )
    )


def _retry_after(value: str) -> Lie:
    body = b'{"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}'
    refusal = reply(body, f"Retry-After: {value}", status="429 Too Many Requests")
    return Lie(lambda _: iter([refusal]), again=True, asks=False)


def _length(by: int) -> Lie:
    """A Content-Length that is off by so much."""
    return Lie(
        lambda truth: iter([reply(truth.body, "Connection: close", length=len(truth.body) + by)]), again=True
    )


def _bytes(raw: Callable[[Truth], bytes], *, again: bool) -> Lie:
    return Lie(lambda truth: iter([raw(truth)]), again=again)


def _dripping(truth: Truth) -> Iterator[bytes]:
    whole = _json(truth.body)
    step = len(whole) // 20 + 1
    for start in range(0, len(whole), step):
        yield whole[start : start + step]
        time.sleep(0.05)


LIES: Mapping[str, Lie] = {
    "usage of no sense": _usage({"prompt_tokens": -5, "completion_tokens": 10**30, "total_tokens": "many"}),
    "usage is a list": _usage([1, 2]),
    "usage is null": _usage(None),
    "usage with halves": _usage({"prompt_tokens": 0.5, "completion_tokens": True}),
    "limits of zero": _limits("0", "0", "0s"),
    "limits below zero": _limits("-1", "-1", "-1s"),
    "limits without end": _limits("1e999", "Infinity", "NaN"),
    "limits in words": _limits("plenty", "²", "soon"),
    "more remains than the limit": _limits("1000000", "99999999999999999999", "1ms"),
    "retry after 3,000 years": _retry_after("99999999999"),
    "retry after less than nothing": _retry_after("-5"),
    "retry after NaN": _retry_after("NaN"),
    "retry after 2015": _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
    "retry after 9999": _retry_after("Fri, 31 Dec 9999 23:59:59 GMT"),
    "retry after soon": _retry_after("soon"),
    "an embedding": _says({"object": "list", "data": [{"object": "embedding", "embedding": [0.5], "index": 0}]}),
    "a text completion": _says({"object": "text_completion", "choices": [{"text": "hello", "index": 0}]}),
    "a response": _says({"object": "response", "status": "completed", "output": []}),
    "choices is a number": _says({"object": "chat.completion", "choices": 3}),
    "choices of null": _says({"object": "chat.completion", "choices": [None]}),
    "null": _says(None),
    "a list": _says([]),
    "a string": _says("done"),
    "an error in a 200": _says(
        {"error": {"message": "The upstream failed.", "type": "server_error", "code": 502}}
    ),
    "a page in a 200": _bytes(lambda _: reply(b"<html>hello</html>", "Content-Type: text/html"), again=True),
    "nothing in a 200": _bytes(lambda _: reply(b""), again=True),
    "204": _bytes(lambda _: b"HTTP/1.1 204 No Content\r\n\r\n", again=True),
    "a length that is too short": _length(-40),
    "a length that is too long": _length(40),
    "a length below zero": _bytes(lambda truth: reply(truth.body, length=-1), again=True),
    "two lengths": _bytes(lambda truth: reply(truth.body, "Content-Length: 5"), again=True),
    "gzip that is none": _bytes(lambda truth: _json(truth.body, "Content-Encoding: gzip"), again=True),
    "JSON called HTML": _bytes(lambda truth: reply(truth.body, "Content-Type: text/html"), again=False),
    "an early hint": _bytes(lambda truth: b"HTTP/1.1 103 Early Hints\r\n\r\n" + _json(truth.body), again=False),
    "a head without end": _bytes(lambda truth: _json(truth.body, "X-Long: " + "x" * 100_000), again=True),
    "no HTTP": _bytes(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n", again=True),
    "half a head": _bytes(lambda _: b"HTTP/1.1 200 OK\r\nContent-", again=True),
    "not a byte": Lie(lambda _: iter(()), again=True),
    "drip by drip": Lie(_dripping, again=False),
}
#: After these the connection is closed: what was said does not end by itself.
_OPEN_ENDED = frozenset(
    {"a length that is too long", "no HTTP", "half a head", "not a byte", "a length below zero", "two lengths"}
)


@dataclass(frozen=True)
class Gateway:
    """Listens at `url`; `told` counts the lies that were told."""

    url: str
    told: Counter[str]


@contextmanager
def lying(provider: Provider, lies: Mapping[str, str], *, always: frozenset[str]) -> Iterator[Gateway]:
    """Lies about the rows named in `lies` (content → lie): at their first sending, or `always`."""
    told: Counter[str] = Counter()
    about: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            content = json.loads(body)["messages"][0]["content"]
            name = lies.get(content)
            lie = LIES[name] if name and (content in always or not about[content]) else None
            about[content] += 1
            status, said = (0, b"") if lie and not lie.asks else self._ask(body)
            if name is None or lie is None:
                self.wfile.write(reply(said, "Content-Type: application/json", status=f"{status} So"))
                return
            told[name] += 1
            for piece in lie.pieces(Truth(said)):
                self.wfile.write(piece)
            self.close_connection = name in _OPEN_ENDED

        def _ask(self, body: bytes) -> tuple[int, bytes]:
            upstream = http.client.HTTPConnection(urlsplit(provider.url).netloc, timeout=30)
            headers = {"Content-Type": "application/json"}
            headers["X-Client-Request-Id"] = self.headers["X-Client-Request-Id"]
            upstream.request("POST", self.path, body, headers)
            answer = upstream.getresponse()
            said = answer.read()
            upstream.close()
            return answer.status, said

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Gateway(f"http://127.0.0.1:{server.server_port}/v1", told)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
