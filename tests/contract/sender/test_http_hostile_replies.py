"""Replies cut at every byte, floods, storms, wrong lengths and charsets: a fault or a whole reply."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import pytest

from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.outcomes import Success
from batcher.domain.states import FaultKind
from batcher.sender.http import HttpSender
from tests.support.rawserver import Exchange, raw_server
from tests.support.replies import judged
from tests.support.sending import KEY, StillClock, fault_of, post, send, target

ANSWER = (
    b'{"id": "x", "choices": [{"index": 0,'
    b' "message": {"role": "assistant", "content": "caf\\u00e9 \xf0\x9f\x98\x80"},'
    b' "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def by_length(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 40] for at in range(0, len(body), 40)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def packed(body: bytes) -> bytes:
    small = gzip.compress(body)
    return HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(small) + small


def packed_in_chunks(body: bytes) -> bytes:
    small = zlib.compress(body)
    return HEAD + b"Content-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        len(small),
        small,
    )


def until_the_end(body: bytes) -> bytes:
    return HEAD + b"\r\n" + body


def packed_until_the_end(body: bytes) -> bytes:
    return HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(body)


async def outcomes(replies: list[bytes], **settings: object) -> list[Reply | TransportFault]:
    """What comes of each; the server closes the connection behind it."""
    waiting = iter(replies)

    async def handler(exchange: Exchange) -> None:
        await exchange.answer(next(waiting))
        exchange.writer.close()

    async with (
        raw_server(handler) as server,
        HttpSender(target(server.url(), timeout=10.0, **settings), StillClock()) as sender,
    ):
        return [await post(sender) for _ in replies]


@pytest.mark.parametrize("frame", [by_length, chunked, packed, packed_in_chunks])
async def test_a_framed_reply_cut_at_any_byte_is_a_fault(frame: Callable[[bytes], bytes]) -> None:
    whole = frame(ANSWER)
    cuts = await outcomes([whole[:size] for size in range(len(whole) + 1)])
    for size, outcome in enumerate(cuts[:-1]):
        if isinstance(outcome, Reply):
            # All that lacks is the empty line behind the last chunk.
            assert size >= len(whole) - 2, size
            assert outcome.body == ANSWER
        else:
            assert outcome.kind in {FaultKind.RESET, FaultKind.PROTOCOL}, (size, outcome)
            assert outcome.sent
    last = cuts[-1]
    assert isinstance(last, Reply)
    assert last.body == ANSWER


@pytest.mark.parametrize("frame", [until_the_end, packed_until_the_end])
async def test_a_reply_without_a_length_cut_at_any_byte_is_never_taken_for_an_answer(
    frame: Callable[[bytes], bytes],
) -> None:
    whole = frame(ANSWER)
    cuts = await outcomes([whole[:size] for size in range(len(whole) + 1)])
    for outcome in cuts:
        if isinstance(outcome, Reply) and outcome.body != ANSWER:
            assert not isinstance(judged(200, outcome.body, outcome.headers), Success)
    last = cuts[-1]
    assert isinstance(last, Reply)
    assert last.body == ANSWER


async def test_no_part_of_an_answer_is_an_answer() -> None:
    for size in range(len(ANSWER)):
        assert not isinstance(judged(200, ANSWER[:size]), Success), size
    assert isinstance(judged(200, ANSWER), Success)


BODY = b'{"ok": 1}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n" + BODY, id="negative"),
        pytest.param(HEAD + b"Content-Length: 9, 9\r\n\r\n" + BODY, id="a list"),
        pytest.param(HEAD + b"Content-Length: nine\r\n\r\n" + BODY, id="a word"),
        pytest.param(HEAD + b"Content-Length: 9\r\nContent-Length: 8\r\n\r\n" + BODY, id="two of them"),
        pytest.param(HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY, id="past everything"),
        pytest.param(HEAD + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, id="and chunked"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + BODY, id="a chunk of 2^64"
        ),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n" + BODY, id="a chunk below 0"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000, id="a size without end"),
        pytest.param(HEAD + b"X: " + b"x" * 200_000 + b"\r\n\r\n", id="a header of 200 kB"),
        pytest.param(HEAD + b"X\x00: 1\r\n\r\n", id="NUL in a name"),
        pytest.param(b"HTTP/1.1 99999 OK\r\n\r\n", id="a status of five digits"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n" + b"\x00" * 10, id="a version to come"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01" * 20, id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\r\n" * 50_000, id="empty lines"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n" + BODY, id="not gzip"),
        pytest.param(HEAD + b"Content-Encoding: zstd\r\n\r\n" + BODY, id="not zstd"),
        pytest.param(HEAD + b"Content-Encoding: gzip, gzip, gzip\r\n\r\n" + BODY, id="packed thrice"),
    ],
)
async def test_a_reply_that_lies_about_itself_is_a_fault_or_no_answer(raw: bytes) -> None:
    (outcome,) = await outcomes([raw])
    if isinstance(outcome, Reply):
        assert not isinstance(judged(outcome.status, outcome.body, outcome.headers), Success)
    else:
        assert outcome.kind in {FaultKind.PROTOCOL, FaultKind.RESET}
        assert len(outcome.message) < 200
        assert outcome.message.isprintable()


def labelled(body: bytes, label: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (status, label, len(body))
    return head + body


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(labelled(ANSWER, b"gzip"), id="unpacked on the way"),
        pytest.param(labelled(b"{}", b"gzip", b"429 Too Many Requests"), id="an error unpacked on the way"),
        pytest.param(labelled(ANSWER, b"br"), id="unasked"),
        pytest.param(labelled(gzip.compress(gzip.compress(ANSWER)), b"gzip"), id="packed twice"),
        pytest.param(labelled(gzip.compress(ANSWER), b"x-gzip"), id="an old name"),
        pytest.param(labelled(gzip.compress(ANSWER), b"identity"), id="packed without saying so"),
    ],
)
async def test_after_a_reply_that_is_packed_otherwise_than_it_says_none_is_to_be_packed(raw: bytes) -> None:
    async def handler(exchange: Exchange) -> None:
        accepted = dict(exchange.headers)["Accept-Encoding"]
        await exchange.answer(by_length(ANSWER) if accepted == "identity" else raw)

    async with raw_server(handler) as server, HttpSender(target(server.url()), StillClock()) as sender:
        first, second = [await post(sender) for _ in range(2)]
    if isinstance(first, TransportFault):
        assert (first.kind, first.message.partition(": ")[2]) == (
            FaultKind.PROTOCOL,
            "its body is not encoded as its Content-Encoding says",
        )
    assert isinstance(second, Reply)
    assert second.body == ANSWER


async def test_hundreds_of_headers_are_read() -> None:
    many = b"".join(b"llm_provider-x-%d: 1\r\n" % number for number in range(500))
    (outcome,) = await outcomes([HEAD + many + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER])
    assert isinstance(outcome, Reply)
    assert outcome.body == ANSWER


ODD_HEADS = [
    # Proxies in front of SGLang, Azure Blob Storage, Caddy.
    b"Server: a\r\nServer: b\r\nDate: x\r\nDate: y\r\nContent-Type: text/plain\r\n",
    b"Connection: keep-alive\r\nConnection: keep-alive\r\n",
    b"Upgrade: h2,h2c\r\nConnection: Upgrade\r\n",
    b"Set-Cookie: a=\x80; expires=x\r\nX: \xe9\r\n",
]


@pytest.mark.parametrize("head", ODD_HEADS, ids=repr)
async def test_an_odd_head_does_no_harm(head: bytes) -> None:
    (outcome,) = await outcomes([HEAD + head + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER])
    assert isinstance(outcome, Reply)
    assert outcome.body == ANSWER


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "no-such", "'", "utf-8; charset=utf-7", "\xff"])
async def test_a_charset_changes_no_byte(charset: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=%b\r\n" % charset.encode("latin-1")
    (outcome,) = await outcomes([head + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER])
    assert isinstance(outcome, Reply)
    assert outcome.body == ANSWER


async def test_thousands_of_headers_are_a_reply_or_a_fault_in_little_time() -> None:
    flood = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 50) for number in range(20_000))
    raw = HEAD + flood + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER
    (outcome,) = await asyncio.wait_for(outcomes([raw]), 5)
    assert isinstance(outcome, Reply) or outcome.kind is FaultKind.PROTOCOL


@pytest.mark.parametrize("status", [100, 102, 103, 199])
async def test_interim_replies_are_passed_over(status: int) -> None:
    storm = b"HTTP/1.1 %d Wait\r\nLink: x\r\n\r\n" % status
    (outcome,) = await outcomes([storm * 1_000 + by_length(ANSWER)])
    assert isinstance(outcome, Reply)
    assert (outcome.status, outcome.body) == (200, ANSWER)


async def test_a_storm_of_interim_replies_without_end_is_a_timeout() -> None:
    async def storm(exchange: Exchange) -> None:
        while True:
            await exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await asyncio.sleep(0.001)

    async with raw_server(storm) as server:
        fault = await fault_of(server.url(), timeout=0.5)
    assert fault.kind is FaultKind.TIMEOUT


async def test_a_changed_protocol_is_no_answer() -> None:
    (outcome,) = await outcomes(
        [b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + ANSWER]
    )
    if isinstance(outcome, Reply):
        assert not isinstance(judged(outcome.status, outcome.body, outcome.headers), Success)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("place", ["absolute", "//", "/v1/elsewhere", "file:///etc/passwd", "\x01", ""])
async def test_a_redirect_is_never_followed_and_no_key_leaves(status: int, place: str) -> None:
    async def other(exchange: Exchange) -> None:
        await exchange.reply(ANSWER)

    async with raw_server(other) as elsewhere:
        to = {"absolute": elsewhere.url(), "//": f"//127.0.0.1:{elsewhere.port}/"}.get(place, place)

        async def redirects(exchange: Exchange) -> None:
            head = b"HTTP/1.1 %d Moved\r\nLocation: %b\r\nRefresh: 0; url=%b\r\n" % (
                status,
                to.encode(),
                to.encode(),
            )
            await exchange.answer(head + b"Content-Length: 0\r\n\r\n")

        async with raw_server(redirects) as server:
            outcome = await send(server.url())
            assert len(server.seen) == 1
        assert elsewhere.connections == 0
    if isinstance(outcome, Reply):
        assert outcome.status == status
        assert not isinstance(judged(outcome.status, outcome.body, outcome.headers), Success)
        assert KEY not in repr(outcome)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("deep", [b"[" * 100_000 + b"]" * 100_000, b'{"choices":' * 100_000, b"[" * 3_000_000])
async def test_a_deep_reply_is_no_answer(deep: bytes, layers: int) -> None:
    body = deep if layers == 1 else b'{"choices": [{"message": {"content": ' + deep
    (outcome,) = await outcomes([by_length(body)])
    assert isinstance(outcome, Reply)
    assert not isinstance(judged(200, outcome.body), Success)
    assert not isinstance(judged(400, outcome.body), Success)
