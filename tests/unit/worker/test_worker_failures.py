"""What breaks a worker ends it, and says what it was."""

import asyncio

import pytest

from batcher.domain.errors import StoreError
from batcher.domain.exchange import Reply, TransportFault
from tests.support.providers import FakeProvider, chats
from tests.support.workers import BrokenWriter, Rig


def errors_of(group: BaseException) -> set[type[BaseException]]:
    if isinstance(group, BaseExceptionGroup):
        return {kind for each in group.exceptions for kind in errors_of(each)}
    return {type(group)}


@pytest.mark.parametrize("seconds", [0.2, 0.5, 2.6, 3.0])
async def test_a_store_that_fails_ends_the_run_with_its_error(rig: Rig, seconds: float):
    job = rig.submit(chats(100))
    writer = BrokenWriter(rig.database)
    running = asyncio.create_task(rig.run(job, concurrency=8, writer=writer))
    await asyncio.sleep(seconds)
    writer.fails = True
    with pytest.raises(BaseExceptionGroup) as raised:
        async with asyncio.timeout(10.0):
            await running
    assert errors_of(raised.value) == {StoreError}
    sent = len(rig.provider.journal)
    await asyncio.sleep(60.0)
    assert len(rig.provider.journal) == sent


async def test_a_store_that_failed_for_a_moment_loses_nothing_that_came_back(rig: Rig):
    """Replies whose commit failed are written once more before the run ends."""
    job = rig.submit(chats(100))
    writer = BrokenWriter(rig.database)
    running = asyncio.create_task(rig.run(job, concurrency=8, writer=writer))
    await asyncio.sleep(2.2)
    settle, failed = rig.queue.settle, list[int]()

    async def fail_once(group):
        if not failed:
            failed.append(len(group))
            raise StoreError("the store failed: disk full")
        return await settle(group)

    rig.queue.settle = fail_once  # type: ignore[method-assign]  # a disk that is full for a moment
    with pytest.raises(BaseExceptionGroup):
        await running
    assert failed
    assert rig.states()["completed"] == len(rig.provider.answered)
    assert rig.states()["claimed"] == 0
    await rig.run(job)
    assert rig.states() == {"completed": 100}
    assert len(rig.provider.answered) == 100


class Broken(FakeProvider):
    """A sender that breaks its promise never to raise, once."""

    is_broken = False

    async def send(self, **named) -> Reply | TransportFault:
        if len(self.journal) == 20 and not self.is_broken:
            self.is_broken = True
            raise RuntimeError("a bug")
        return await super().send(**named)


async def test_a_bug_ends_the_run_and_leaves_the_other_rows_in_order(rig: Rig):
    rig.provider = Broken()
    job = rig.submit(chats(100))
    with pytest.raises(BaseExceptionGroup) as raised:
        await rig.run(job, concurrency=8)
    assert errors_of(raised.value) == {RuntimeError}
    assert rig.states()["claimed"] == 1
    rig.provider = FakeProvider()
    await rig.run(job)
    assert rig.states() == {"completed": 100}
