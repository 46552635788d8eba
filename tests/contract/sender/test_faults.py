"""Every kind of transport fault, produced for real on loopback."""

import asyncio
import gzip
import resource
import socket
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.secret import Secret
from batcher.domain.states import FaultKind
from batcher.sender.http import HttpSender
from tests.support.certificates import make_certificate, server_context
from tests.support.rawserver import Exchange, Handler, listening, ok, raw_server
from tests.support.sending import BODY, KEY, StillClock, fault_of, post, send, summary, target


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1,DNS:localhost")


@pytest.fixture(scope="module")
def other_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:other.test")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def says(data: bytes, *, then_close: bool = True) -> Handler:
    async def handler(exchange: Exchange) -> None:
        await exchange.answer(data)
        if then_close:
            exchange.writer.close()

    return handler


async def hangs(_: Exchange) -> None:
    await asyncio.sleep(3600)


async def resets(exchange: Exchange) -> None:
    exchange.reset()


async def resets_within_body(exchange: Exchange) -> None:
    await exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.sleep(0.05)
    exchange.reset()


async def drips(exchange: Exchange) -> None:
    await exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        await exchange.answer(b" ")
        await asyncio.sleep(0.02)


async def drips_its_head(exchange: Exchange) -> None:
    await exchange.answer(b"HTTP/1.1 200 OK\r\n")
    while True:
        await exchange.answer(b"X-A: b\r\n")
        await asyncio.sleep(0.05)


ENCODED = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: %s\r\n\r\nnot so at"


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        pytest.param(hangs, FaultKind.TIMEOUT, id="no reply at all"),
        pytest.param(drips, FaultKind.TIMEOUT, id="a body a byte at a time"),
        pytest.param(drips_its_head, FaultKind.TIMEOUT, id="a head a line at a time"),
        pytest.param(resets, FaultKind.RESET, id="RST before the reply"),
        pytest.param(says(b""), FaultKind.RESET, id="FIN before the reply"),
        pytest.param(resets_within_body, FaultKind.RESET, id="RST within the body"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-"), FaultKind.RESET, id="cut within the head"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), FaultKind.RESET, id="cut: length"),
        pytest.param(says(CHUNKED + b"5\r\n{"), FaultKind.RESET, id="cut: chunked"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), FaultKind.PROTOCOL, id="not HTTP"),
        pytest.param(says(b"HTTP/1.1 2x0 OK\r\n\r\n"), FaultKind.PROTOCOL, id="no status"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nb\xffd\r\n\r\n"), FaultKind.PROTOCOL, id="a bad header"),
        pytest.param(says(CHUNKED + b"zz\r\n{"), FaultKind.PROTOCOL, id="a bad chunk size"),
        pytest.param(says(ENCODED % b"gzip"), FaultKind.PROTOCOL, id="not gzip"),
        pytest.param(says(ENCODED % b"br"), FaultKind.PROTOCOL, id="not brotli"),
    ],
)
async def test_a_request_that_was_sent_and_got_no_whole_reply_says_why(handler: Handler, kind: FaultKind):
    async with raw_server(handler) as server:
        fault = await fault_of(server.url(), timeout=0.4)
    assert (fault.kind, fault.sent) == (kind, True), fault
    assert f"127.0.0.1:{server.port}" in fault.message
    assert "\n" not in fault.message
    assert KEY not in fault.message
    assert server.connections == 1, "an attempt is one request"


async def test_a_refused_connection_was_not_sent():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    fault = await fault_of(f"http://127.0.0.1:{port}/v1")
    assert (fault.kind, fault.sent) == (FaultKind.REFUSED, False)
    assert fault.message == f"cannot connect to 127.0.0.1:{port}: Connection refused"


async def test_a_name_that_does_not_resolve_was_not_sent():
    fault = await fault_of("http://x.invalid:8000/v1")
    assert (fault.kind, fault.sent) == (FaultKind.DNS, False), fault
    assert fault.message.startswith("the host of x.invalid:8000 cannot be found: ")


async def test_a_peer_that_never_accepts_is_a_connect_timeout(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("batcher.sender.http._CONNECT_ONE", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        fault = await fault_of(f"http://127.0.0.1:{address[1]}/v1")
        for filler in fillers:
            filler.close()
    assert (fault.kind, fault.sent) == (FaultKind.CONNECT_TIMEOUT, False), fault


async def test_the_whole_timeout_before_anything_is_sent_is_a_connect_timeout(certificate: Path):
    async def never_shakes_hands(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(never_shakes_hands) as port:
        fault = await fault_of(f"https://127.0.0.1:{port}/v1", timeout=0.3, ca_file=str(certificate))
    assert (fault.kind, fault.sent) == (FaultKind.CONNECT_TIMEOUT, False), fault


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_fault(certificate: Path):
    async with raw_server(ok, server_context(certificate)) as server:
        fault = await fault_of(server.url("https"))
    assert (fault.kind, fault.sent) == (FaultKind.TLS, False), fault
    assert fault.message == f"TLS with 127.0.0.1:{server.port} failed: self-signed certificate"
    assert server.seen == []


async def test_a_certificate_for_another_name_is_a_tls_fault(other_certificate: Path):
    async with raw_server(ok, server_context(other_certificate)) as server:
        fault = await fault_of(server.url("https"), ca_file=str(other_certificate))
    assert (fault.kind, fault.sent) == (FaultKind.TLS, False), fault
    assert "127.0.0.1" in fault.message


async def test_plain_http_where_tls_is_spoken_to_is_a_tls_fault(certificate: Path):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as port:
        fault = await fault_of(f"https://127.0.0.1:{port}/v1", ca_file=str(certificate))
    assert (fault.kind, fault.sent) == (FaultKind.TLS, False), fault


async def test_a_hang_up_within_the_handshake_is_a_tls_fault(certificate: Path):
    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with listening(hangs_up) as port:
        fault = await fault_of(f"https://127.0.0.1:{port}/v1", ca_file=str(certificate))
    assert (fault.kind, fault.sent) == (FaultKind.TLS, False), fault


def second_time(act: Callable[[Exchange], Awaitable[None]]) -> Handler:
    """Answers the first request, acts at the second."""
    seen: list[Exchange] = []

    async def handler(exchange: Exchange) -> None:
        seen.append(exchange)
        await (act if len(seen) == 2 else ok)(exchange)

    return handler


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        pytest.param(says(b""), FaultKind.STALE_CONNECTION, id="FIN"),
        pytest.param(resets, FaultKind.STALE_CONNECTION, id="RST"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-"), FaultKind.RESET, id="cut within the head"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), FaultKind.RESET, id="cut within the body"
        ),
        pytest.param(hangs, FaultKind.TIMEOUT, id="silence"),
    ],
)
async def test_only_a_kept_alive_connection_closed_before_the_first_byte_is_stale(act: Handler, kind: FaultKind):
    async with (
        raw_server(second_time(act)) as server,
        HttpSender(target(server.url(), timeout=0.5), StillClock()) as sender,
    ):
        outcomes = [summary(await post(sender)) for _ in range(3)]
    assert outcomes == [200, (kind, True), 200]
    assert server.connections == 2, "the third goes out on a new connection, the second is not sent twice"
    assert len(server.seen) == 3


async def test_a_connection_that_was_closed_while_idle_costs_nothing():
    async def answers_and_closes(exchange: Exchange) -> None:
        await ok(exchange)
        exchange.writer.close()

    async with raw_server(answers_and_closes) as server, HttpSender(target(server.url()), StillClock()) as sender:
        outcomes = []
        for _ in range(3):
            outcomes.append(summary(await post(sender)))
            await asyncio.sleep(0.02)
    assert outcomes == [200, 200, 200]


async def test_what_a_server_says_unasked_is_never_the_reply_to_the_next_request():
    async def says_more(exchange: Exchange) -> None:
        await exchange.reply(dict(exchange.headers)["X-Client-Request-Id"].encode())
        await asyncio.sleep(0.02)
        await exchange.reply(b"unasked")

    async with raw_server(says_more) as server, HttpSender(target(server.url()), StillClock()) as sender:
        replies = []
        for number in ("a", "b", "c"):
            replies.append(await post(sender, number=number))
            await asyncio.sleep(0.05)
    assert [reply.body for reply in replies if isinstance(reply, Reply)] == [b"a", b"b", b"c"]


async def test_a_server_that_speaks_first_on_a_new_connection_does_not_go_on_for_ever():
    async def speaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read()

    async with listening(speaks) as port:
        fault = await fault_of(f"http://127.0.0.1:{port}/v1", timeout=2)
    assert fault.kind is FaultKind.PROTOCOL, fault


@pytest.mark.parametrize("framing", ["length", "chunked", "until the end"])
async def test_a_reply_over_the_cap_is_not_read_on(framing: str):
    sent = 0

    async def endless(exchange: Exchange) -> None:
        nonlocal sent
        head = {"length": b"Content-Length: 1000000000\r\n", "chunked": b"Transfer-Encoding: chunked\r\n"}
        await exchange.answer(b"HTTP/1.1 200 OK\r\n" + head.get(framing, b"") + b"\r\n")
        piece = b"x" * 4096
        while True:
            await exchange.answer(b"1000\r\n" + piece + b"\r\n" if framing == "chunked" else piece)
            sent += len(piece)

    async with raw_server(endless) as server:
        fault = await fault_of(server.url(), max_reply=100_000)
    assert (fault.kind, fault.sent) == (FaultKind.REPLY_TOO_LARGE, True)
    assert fault.message == f"the reply from 127.0.0.1:{server.port} is larger than 100000 bytes"
    assert sent < 50_000_000


@pytest.mark.parametrize("size", [999, 1000, 1001])
async def test_the_cap_is_exact(size: int):
    async with raw_server(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)) as server:
        outcome = await send(server.url(), max_reply=1000)
    assert summary(outcome) == (200 if size <= 1000 else (FaultKind.REPLY_TOO_LARGE, True))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_of_300_kilobytes_never_unfolds_in_memory(encoding: str):
    unfolded = b"\0" * (300 << 20)
    bomb = gzip.compress(unfolded) if encoding == "gzip" else zlib.compress(unfolded)
    del unfolded

    async def handler(exchange: Exchange) -> None:
        await exchange.reply(bomb, Content_Encoding=encoding)

    async with raw_server(handler) as server:
        tracemalloc.start()
        fault = await fault_of(server.url(), max_reply=4 << 20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (fault.kind, fault.sent) == (FaultKind.REPLY_TOO_LARGE, True)
    assert peak < 12 << 20


@contextmanager
def no_more_files():
    """As many file descriptors as are open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = socket.socket()
    lowest = probe.fileno()
    probe.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "x.invalid"])
async def test_no_file_descriptors_left_is_a_local_fault(host: str):
    async with raw_server(ok) as server, HttpSender(target(server.url(host=host)), StillClock()) as sender:
        with no_more_files():
            outcome = await post(sender)
    assert summary(outcome) == (FaultKind.LOCAL, False), outcome
    assert isinstance(outcome, TransportFault)
    assert outcome.message == "this machine could not send: Too many open files"


async def test_a_sender_that_is_closed_reports_a_local_fault():
    async with raw_server(hangs) as server:
        sender = await HttpSender(target(server.url()), StillClock()).__aenter__()
        sending = asyncio.create_task(post(sender))
        while not server.seen:
            await asyncio.sleep(0.01)
        await sender.__aexit__(None, None, None)
        assert summary(await sending) == (FaultKind.LOCAL, True)
        assert summary(await post(sender)) == (FaultKind.LOCAL, False)


@pytest.mark.parametrize("handler", [hangs, drips])
async def test_cancelling_passes_through_and_closes_the_connection(handler: Handler):
    async with raw_server(handler) as server, HttpSender(target(server.url()), StillClock()) as sender:
        sending = asyncio.create_task(post(sender))
        while not server.seen:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        with suppress(ConnectionResetError):
            assert await server.seen[0].reader.read() == b""


async def test_a_reply_that_comes_before_a_large_body_is_read_counts():
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        await asyncio.sleep(0.2)

    async with listening(refuses) as port:
        outcome = await send(f"http://127.0.0.1:{port}/v1", body=b"x" * (32 << 20))
    assert summary(outcome) == 413


@pytest.mark.parametrize("settings", [{"key": Secret("two\nlines")}, {"headers": {"a": "b\r\nc: d"}}])
async def test_what_cannot_be_sent_is_a_fault_that_sent_nothing(settings: dict[str, object]):
    async with raw_server(ok) as server:
        fault = await fault_of(server.url(), **settings)
    assert (fault.kind, fault.sent) == (FaultKind.PROTOCOL, False)
    assert "lines" not in fault.message
    assert server.seen == []


async def test_a_cut_body_without_a_length_is_a_reply():
    async with raw_server(says(b'HTTP/1.1 200 OK\r\n\r\n{"id": "cut')) as server:
        outcome = await send(server.url())
    assert isinstance(outcome, Reply)
    assert outcome.body == b'{"id": "cut'


async def test_a_fault_never_tells_what_the_server_or_the_request_said():
    echo = f"HTTP/1.1 2x0 {KEY}\r\nX-Echo: {KEY}\r\n\r\n".encode()
    async with raw_server(says(echo)) as server:
        fault = await fault_of(server.url() + "?token=in-the-query")
    assert "in-the-query" not in fault.message
    assert "X-Echo" not in fault.message
    assert KEY[:12] not in fault.message
    assert BODY.decode() not in fault.message
