"""503 in place of 429, and servers that queue in silence: nothing is lost, and an outage is still one."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from batcher.domain.events import BreakerChanged
from batcher.domain.exchange import Reply, TransportFault
from batcher.domain.states import FaultKind
from batcher.simulate import SimulatedProvider
from tests.support.providers import FakeProvider, chats
from tests.support.workers import Rig, now

PAGE = b"<html><h1>503 Service Temporarily Unavailable</h1></html>"


@dataclass
class Unavailable(FakeProvider):
    """Answers some requests with nginx's page, as `refuses` decides by the time of arrival."""

    refuses: Callable[[float], bool] = lambda _: False
    pages: int = 0

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        if not self.refuses(now()):
            return await super().send(path=path, body=body, client_request_id=client_request_id)
        self.pages += 1
        sent_at = self._clock.now()
        await asyncio.sleep(0.002)
        headers = {"content-type": "text/html"}
        return Reply(
            status=503, headers=headers, body=PAGE, sent_at=sent_at, ended_at=self._clock.now(), latency_us=2_000
        )


def spaced(seconds: float) -> Callable[[float], bool]:
    """nginx's limit_req without a burst: one request each so many seconds."""
    last = -seconds

    def refuses(at: float) -> bool:
        nonlocal last
        if at - last < seconds:
            return True
        last = at
        return False

    return refuses


QUICK = SimulatedProvider(latency=0.2, latency_sigma=0.2)


async def test_a_rate_limit_that_answers_503_is_found_and_no_row_dies(rig: Rig):
    rig.provider = provider = Unavailable(QUICK, refuses=spaced(0.2))
    job = rig.submit(chats(200))
    await rig.run(job)
    assert rig.states() == {"completed": 200}
    assert now() <= 60.0
    assert provider.pages <= 60
    assert sum(row["spent"] for row in rig.rows()) <= 8


async def test_random_503s_cost_their_rows_a_moment(rig: Rig):
    draw = random.Random(4)
    rig.provider = Unavailable(QUICK, refuses=lambda at: at > 0.5 and draw.random() < 0.03)
    await rig.run(rig.submit(chats(1_000)))
    assert rig.states() == {"completed": 1_000}
    assert sum(row["spent"] for row in rig.rows()) == 0
    assert now() <= 15.0
    assert rig.events.of(BreakerChanged) == []


async def test_when_nothing_is_answered_any_more_503_is_an_outage(rig: Rig):
    rig.provider = provider = Unavailable(QUICK, refuses=lambda at: 3.0 <= at < 120.0)
    await rig.run(rig.submit(chats(2_000)))
    assert rig.states() == {"completed": 2_000}
    assert [event.open for event in rig.events.of(BreakerChanged)] == [True, False]
    assert sum(row["spent"] for row in rig.rows()) <= 8
    assert provider.pages <= 100


@dataclass
class OneAtATime(FakeProvider):
    """Works on one request at a time; `stubborn`: also on those whose client has hung up."""

    stubborn: bool = True

    async def send(self, *, path: str, body: bytes, client_request_id: str) -> Reply | TransportFault:
        turn = self.__dict__.setdefault("turn", asyncio.Semaphore(1))
        sent_at = self._clock.now()

        async def exchange() -> Reply | TransportFault:
            async with turn:
                return await super(OneAtATime, self).send(
                    path=path, body=body, client_request_id=client_request_id
                )

        task = asyncio.ensure_future(exchange())
        done, _ = await asyncio.wait([task], timeout=self.timeout)
        if not done and not self.stubborn:
            task.cancel()
        return task.result() if done else self._fault(FaultKind.TIMEOUT, sent_at)


@pytest.mark.parametrize("patience", [5.0, 1.5])
async def test_a_server_that_queues_loses_no_row(rig: Rig, patience: float):
    """Even if the first eight already wait longer than the timeout."""
    rig.provider = OneAtATime(SimulatedProvider(latency=0.25, latency_sigma=0.0), timeout=patience)
    await rig.run(rig.submit(chats(200)))
    assert rig.states() == {"completed": 200}
    assert now() <= 62.0
    if patience > 8 * 0.25:
        assert rig.events.of(BreakerChanged) == []


async def test_models_of_a_server_that_works_for_one_at_a_time_lose_no_row(rig: Rig):
    """One model's requests fill the place while those of the other wait behind them, unanswered."""
    rig.provider = OneAtATime(SimulatedProvider(latency=2.0, latency_sigma=0.0), timeout=10.0, stubborn=False)
    await rig.run(rig.submit([*chats(30), *chats(30, model="m2")]))
    assert rig.states() == {"completed": 60}
    assert rig.events.of(BreakerChanged) == []
    assert sum(row["sends"] for row in rig.rows()) <= 90
