"""What goes over the wire and what comes back, against real servers on loopback."""

import asyncio
import gzip
import json
import os
import socket
import time
import zlib
from pathlib import Path

import pytest

from batcher import __version__
from batcher.domain.errors import ConfigError
from batcher.domain.exchange import Reply
from batcher.domain.secret import Secret
from batcher.domain.states import FaultKind
from batcher.sender.http import HttpSender
from tests.support.certificates import make_certificate, server_context
from tests.support.messages import words
from tests.support.rawserver import Exchange, ok, raw_server
from tests.support.sending import BODY, KEY, StillClock, fault_of, post, reply_of, send, target

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1,DNS:localhost")


async def test_the_head_on_the_wire_is_exactly_this():
    async with raw_server(ok) as server:
        await send(server.url())
    assert server.seen[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert sorted(server.seen[0].headers) == [
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Authorization", f"Bearer {KEY}"),
        ("Content-Length", str(len(BODY))),
        ("Content-Type", "application/json"),
        ("Host", f"127.0.0.1:{server.port}"),
        ("User-Agent", f"batcher/{__version__}"),
        ("X-Client-Request-Id", "id-1"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY, id="spacing, escapes and big integers"),
        pytest.param(b"", id="nothing"),
        pytest.param(os.urandom((1 << 18) + 1), id="a byte over one piece"),
        pytest.param(b"\r\n\0\xff" * (3 << 18), id="3 MiB"),
    ],
)
async def test_the_body_goes_out_byte_for_byte(body: bytes):
    async with raw_server(ok) as server:
        assert isinstance(await send(server.url(), body=body), Reply)
    assert server.seen[0].body == body


@pytest.mark.parametrize(
    ("base", "path", "line"),
    [
        ("/v1", "/v1/embeddings", "/v1/embeddings"),
        ("", "/v1/embeddings", "/embeddings"),
        ("/openai?api-version=1", "/v1/chat/completions", "/openai/chat/completions?api-version=1"),
        ("/a%2Fb/v1", "/v1/models/x:y", "/a%2Fb/v1/models/x:y"),
        ("/v1", "/v1/%2e%2e/admin", "/v1/%2e%2e/admin"),
        ("/a//b", "/v1/x", "/a//b/x"),
    ],
)
async def test_the_url_is_sent_as_the_text_it_is(base: str, path: str, line: str):
    async with raw_server(ok) as server:
        base_url = f"http://127.0.0.1:{server.port}{base}"
        async with HttpSender(target(base_url), StillClock()) as sender:
            await sender.send(path=path, body=BODY, client_request_id="1")
    assert server.seen[0].line == f"POST {line} HTTP/1.1"


async def test_own_headers_win_over_ours():
    headers = {"authorization": Secret("Basic dXNlcjpwYXNz"), "user-agent": "mine", "OpenAI-Project": "proj_1"}
    async with raw_server(ok) as server:
        await send(server.url(), headers=headers)
    sent = dict(server.seen[0].headers)
    assert sent["authorization"] == "Basic dXNlcjpwYXNz"
    assert sent["user-agent"] == "mine"
    assert sent["OpenAI-Project"] == "proj_1"
    assert "Authorization" not in sent
    assert "User-Agent" not in sent


async def test_without_a_key_there_is_no_authorization():
    async with raw_server(ok) as server:
        await send(server.url(), key=None)
    assert "Authorization" not in dict(server.seen[0].headers)


async def test_every_attempt_has_an_id_of_its_own_and_the_connection_is_kept():
    async with raw_server(ok) as server, HttpSender(target(server.url()), StillClock()) as sender:
        for number in ("a", "b", "c"):
            await post(sender, number=number)
    assert [dict(one.headers)["X-Client-Request-Id"] for one in server.seen] == ["a", "b", "c"]
    assert server.connections == 1


async def test_as_many_connections_as_requests_in_flight():
    arrived = asyncio.Semaphore(0)

    async def waits_for_all(exchange: Exchange) -> None:
        arrived.release()
        while len(server.seen) < 150:
            await asyncio.sleep(0.01)
        await ok(exchange)

    async with raw_server(waits_for_all) as server, HttpSender(target(server.url()), StillClock()) as sender:
        async with asyncio.TaskGroup() as group:
            sendings = [group.create_task(post(sender, number=str(n))) for n in range(150)]
        assert all(isinstance(sending.result(), Reply) for sending in sendings)
    assert server.connections == 150


async def test_a_reply_keeps_status_headers_and_the_bytes_of_the_body():
    body = b'{"big": 12345678901234567890, "e": 1e400,  "t": "\\u00e9\xc3\xa9"}\n'

    async def handler(exchange: Exchange) -> None:
        await exchange.reply(body, "529 Overloaded", X_Request_Id="req_1", Retry_After="7", retry_after="9")

    async with raw_server(handler) as server:
        reply = await reply_of(server.url())
    assert (reply.status, reply.body) == (529, body)
    assert reply.headers["x-request-id"] == "req_1"
    assert reply.headers["retry-after"] == "7", "of a repeated header the first"
    assert all(name == name.lower() for name in reply.headers)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate"])
async def test_a_compressed_body_is_decoded(encoding: str):
    plain = json.dumps({"text": "abc" * 200_000}).encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "raw deflate": raw.compress(plain) + raw.flush(),
    }[encoding]

    async def handler(exchange: Exchange) -> None:
        await exchange.reply(packed, Content_Encoding=encoding.rpartition(" ")[2])

    async with raw_server(handler) as server:
        assert (await reply_of(server.url())).body == plain


@pytest.mark.parametrize("status", ["204 No Content", "200 OK"])
async def test_an_empty_body_is_a_reply(status: str):
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(b"", status)

    async with raw_server(handler) as server:
        assert (await reply_of(server.url())).body == b""


async def test_a_header_of_60_kilobytes_is_read():
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(b"{}", X_Policy="x" * 60_000)

    async with raw_server(handler) as server:
        assert len((await reply_of(server.url())).headers["x-policy"]) == 60_000


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_a_reply_and_the_other_server_sees_nothing(status: str):
    async def redirects(exchange: Exchange) -> None:
        await exchange.reply(b"", status, Location=other.url())

    async with raw_server(ok) as other, raw_server(redirects) as server:
        reply = await reply_of(server.url())
    assert reply.status == int(status[:3])
    assert other.connections == 0
    assert len(server.seen) == 1


async def test_no_cookie_comes_back():
    async def sets(exchange: Exchange) -> None:
        await exchange.reply(b"{}", Set_Cookie="__cf_bm=abc; Path=/; HttpOnly")

    async with raw_server(sets) as server, HttpSender(target(server.url()), StillClock()) as sender:
        await post(sender)
        await post(sender)
    assert all("Cookie" not in dict(one.headers) for one in server.seen)


async def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with raw_server(ok) as server:
        await send(server.url())
        await send(server.url(), key=None)
    assert [dict(one.headers).get("Authorization") for one in server.seen] == [f"Bearer {KEY}", None]


async def test_times_are_the_clocks_and_latency_is_measured():
    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await ok(exchange)

    async with raw_server(slow) as server:
        began = time.monotonic()
        reply = await reply_of(server.url())
        most = time.monotonic() - began
    assert reply.sent_at == reply.ended_at == StillClock().now()
    # Some loops count in milliseconds.
    assert 50_000 <= reply.latency_us <= most * 1e6 + 1_000


async def test_a_wall_clock_set_back_never_ends_before_it_began():
    times = [2_000_000, 1_000_000]

    class BackwardClock:
        def now(self) -> int:
            return times.pop(0)

    async with raw_server(ok) as server, HttpSender(target(server.url()), BackwardClock()) as sender:
        reply = await post(sender)
    assert (reply.sent_at, reply.ended_at) == (2_000_000, 2_000_000)


async def test_connections_notice_a_peer_that_is_gone():
    async with raw_server(ok) as server, HttpSender(target(server.url()), StillClock()) as sender:
        await post(sender)
        (protocol,) = sender._pool.served
        opened = protocol.transport.get_extra_info("socket")  # type: ignore[attr-defined]  # of aiohttp's protocol
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 4
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


# Keys


async def test_a_key_that_is_echoed_is_taken_out_of_body_and_headers():
    masked = f"{KEY[:9]}{'*' * 20}{KEY[-4:]}"

    async def echoes(exchange: Exchange) -> None:
        body = json.dumps({"error": {"message": f"Incorrect API key provided: {masked}.", "you": KEY}})
        await exchange.reply(body.encode(), "401 Unauthorized", X_Echo=f"Bearer {KEY}")

    async with raw_server(echoes) as server:
        reply = await reply_of(server.url())
    assert json.loads(reply.body) == {"error": {"message": "Incorrect API key provided: [key].", "you": "[key]"}}
    assert reply.headers["x-echo"] == "Bearer [key]"


async def test_secret_headers_are_taken_out_too_but_not_names_and_versions():
    headers = {
        "api-key": Secret("0123456789abcdef0123456789abcdef"),
        "X-Gateway": Secret("Bearer gateway-token-77"),
        "anthropic-version": Secret("2023-06-01"),
        "OpenAI-Project": "proj_abcdefgh",
    }

    async def echoes(exchange: Exchange) -> None:
        values = [value for name, value in exchange.headers if name in headers]
        await exchange.reply(json.dumps([*values, "gateway-token-77"]).encode())

    async with raw_server(echoes) as server:
        reply = await reply_of(server.url(), headers=headers)
    assert json.loads(reply.body) == ["[key]", "[key]", "2023-06-01", "proj_abcdefgh", "[key]"]


def test_a_target_does_not_show_its_key():
    shown = repr(target("http://127.0.0.1/v1", headers={"api-key": Secret("another-secret")}))
    assert KEY not in shown
    assert "another-secret" not in shown


# TLS


async def test_a_certificate_in_the_ca_file_is_trusted(certificate: Path):
    async with raw_server(ok, server_context(certificate)) as server:
        assert (await reply_of(server.url("https"), ca_file=str(certificate))).status == 200
        assert (await reply_of(server.url("https", "localhost"), ca_file=str(certificate))).status == 200


async def test_ssl_cert_file_is_heard(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with raw_server(ok, server_context(certificate)) as server:
        assert (await reply_of(server.url("https"))).status == 200


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_without_certificates_is_a_config_error(tmp_path: Path, content: str | None):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        await send("https://127.0.0.1:1/v1", ca_file=str(path))


# Proxies


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_the_proxy_of_the_environment_is_used(variable: str, monkeypatch: pytest.MonkeyPatch):
    async with raw_server(ok) as proxy:
        monkeypatch.setenv(variable, f"http://user:p%40ss@127.0.0.1:{proxy.port}")
        reply = await reply_of("http://api.invalid/v1")
    assert reply.status == 200
    assert proxy.seen[0].line == "POST http://api.invalid/v1/chat/completions HTTP/1.1"
    assert proxy.seen[0].body == BODY
    assert ("Proxy-Authorization", "Basic dXNlcjpwQHNz") in proxy.seen[0].headers
    assert ("Host", "api.invalid") in proxy.seen[0].headers


@pytest.mark.parametrize("settings", [{"use_proxy": False}, {}])
async def test_no_proxy_and_use_proxy_pass_it_by(settings: dict[str, bool], monkeypatch: pytest.MonkeyPatch):
    async with raw_server(ok) as proxy, raw_server(ok) as server:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        if not settings:
            monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
        await reply_of(server.url(), **settings)
    assert (len(proxy.seen), len(server.seen)) == (0, 1)


async def test_the_proxy_is_asked_for_once_at_the_start(monkeypatch: pytest.MonkeyPatch):
    async with raw_server(ok) as server, HttpSender(target(server.url()), StillClock()) as sender:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        assert isinstance(await post(sender), Reply)


async def test_a_proxy_that_refuses_the_tunnel_is_told_nothing_and_named(monkeypatch: pytest.MonkeyPatch):
    async def refuses(exchange: Exchange) -> None:
        await exchange.reply(b"", "407 Proxy Authentication Required")

    async with raw_server(refuses) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
        fault = await fault_of("https://api.invalid/v1", headers={"api-key": Secret("another-secret")})
    assert (fault.kind, fault.sent) == (FaultKind.REFUSED, False)
    assert fault.message == (
        f"cannot connect to api.invalid:443 (through the proxy 127.0.0.1:{proxy.port}): the proxy answered 407: "
        "put its user and password into HTTPS_PROXY"
    )
    assert proxy.seen[0].line == "CONNECT api.invalid:443 HTTP/1.1"
    told = proxy.seen[0].head.decode()
    assert KEY not in told
    assert "another-secret" not in told


async def test_a_proxy_that_is_not_there_is_a_refused_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    fault = await fault_of("https://api.invalid/v1")
    assert (fault.kind, fault.sent) == (FaultKind.REFUSED, False)


async def test_tls_goes_through_the_tunnel_to_the_end(certificate: Path, monkeypatch: pytest.MonkeyPatch):
    async def tunnels(exchange: Exchange) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await exchange.answer(b"HTTP/1.1 200 OK\r\n\r\n")
        back = asyncio.create_task(pipe(reader, exchange.writer))
        await pipe(exchange.reader, writer)
        await back

    async with raw_server(ok, server_context(certificate)) as server, raw_server(tunnels) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        settings = target("https://localhost:1/v1", ca_file=str(certificate))
        async with HttpSender(settings, StillClock()) as sender:
            replies = [await post(sender), await post(sender)]
    assert all(isinstance(reply, Reply) for reply in replies), replies
    assert proxy.connections == 1
    assert dict(server.seen[1].headers)["Authorization"] == f"Bearer {KEY}"


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("proxy", ["socks5://user:secret@127.0.0.1:1080", "http://", "http://[::1"])
async def test_a_proxy_that_cannot_be_used_is_a_config_error(proxy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ConfigError, match="HTTPS_PROXY names") as caught:
        await send("https://api.invalid/v1")
    assert "secret" not in str(caught.value)
    assert "NO_PROXY" in words(caught.value.hint)
