"""Long replies that come all at once are read in bounded memory, and all of them to their end."""

import asyncio

import pytest
from aiohttp import StreamReader

from batcher.domain.exchange import Reply
from batcher.domain.states import FaultKind
from batcher.sender.http import HttpSender
from batcher.sender.reading import ReplyReader
from tests.support.rawserver import Exchange, raw_server
from tests.support.sending import StillClock, post, summary, target

MIB = 1 << 20
REPLY, MOST = 4 * MIB, 8 * MIB


class Watched(ReplyReader):
    """A reader that knows the most it held."""

    peak = 0

    async def _room(self, content: StreamReader, more: int, until: float) -> None:
        await super()._room(content, more, until)
        self.peak = max(self.peak, self._held)


async def long(exchange: Exchange) -> None:
    await exchange.reply(b"x" * REPLY)


async def cut(exchange: Exchange) -> None:
    await exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % REPLY + b"x" * (REPLY - MIB))
    exchange.writer.close()


async def drips(exchange: Exchange) -> None:
    await exchange.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % REPLY + b"x" * (REPLY - MIB))
    await asyncio.sleep(3600)


async def test_together_they_take_no_more_than_was_given_and_one_reply():
    async with raw_server(long) as server, HttpSender(target(server.url()), StillClock()) as sender:
        sender._replies = reader = Watched(REPLY, patience=60.0, most_at_once=MOST)
        outcomes = await asyncio.gather(*[post(sender, number=str(number)) for number in range(16)])
    assert [len(each.body) for each in outcomes if isinstance(each, Reply)] == [REPLY] * 16
    assert MOST - REPLY < reader.peak <= MOST + REPLY
    assert reader._held == 0


@pytest.mark.parametrize(
    ("handler", "timeout", "end"),
    [(cut, 5.0, FaultKind.RESET), (drips, 0.5, FaultKind.TIMEOUT)],
)
async def test_those_that_never_end_make_room_for_the_others(handler, timeout, end):
    async with (
        raw_server(handler) as server,
        HttpSender(target(server.url(), timeout=timeout), StillClock()) as sender,
    ):
        sender._replies = reader = Watched(REPLY, patience=60.0, most_at_once=MOST)
        outcomes = await asyncio.gather(*[post(sender, number=str(number)) for number in range(8)])
    assert {summary(each) for each in outcomes} == {(end, True)}
    assert (reader._held, reader._first) == (0, None)


async def test_one_that_stalls_holds_the_others_back_for_a_moment_only():
    arrived = 0

    async def one_drips(exchange: Exchange) -> None:
        nonlocal arrived
        arrived += 1
        await (drips if arrived == 1 else long)(exchange)

    async with (
        raw_server(one_drips) as server,
        HttpSender(target(server.url(), timeout=3.0), StillClock()) as sender,
    ):
        sender._replies = Watched(REPLY, patience=0.2, most_at_once=REPLY - MIB)
        stalled = asyncio.create_task(post(sender, number="first"))
        await asyncio.sleep(0.1)
        others = await asyncio.gather(*[post(sender, number=str(number)) for number in range(8)])
        assert not stalled.done()
        assert {summary(each) for each in others} == {200}
        assert summary(await stalled) == (FaultKind.TIMEOUT, True)
