import asyncio
import time

import pytest
from aiolimiter import AsyncLimiter

from tests.support.virtual_time import EPOCH_US, VirtualClock, VirtualDeadlockError, run_virtual


def test_an_hour_of_sleep_takes_no_time():
    async def main():
        clock, loop = VirtualClock(), asyncio.get_running_loop()
        await asyncio.sleep(3600)
        assert loop.time() == pytest.approx(3600)
        return clock.now()

    # If it took real time, the suite's limit of two minutes for each test would end it.
    assert run_virtual(main()) == EPOCH_US + 3_600_000_000


def test_timers_fire_in_the_order_of_their_times_and_never_early():
    async def main():
        fired = []

        async def wait(seconds):
            await asyncio.sleep(seconds)
            fired.append((seconds, asyncio.get_running_loop().time()))

        async with asyncio.TaskGroup() as group:
            for seconds in (3.0, 0.1, 86_400.0, 0.2):
                group.create_task(wait(seconds))
        return fired

    fired = run_virtual(main())
    assert [seconds for seconds, _ in fired] == [0.1, 0.2, 3.0, 86_400.0]
    assert all(at >= seconds for seconds, at in fired)


def test_a_wake_up_that_never_comes_is_an_error_and_not_a_hang():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(VirtualDeadlockError, match="every task waits"):
        run_virtual(main())


def test_a_task_that_polls_without_sleeping_is_an_error(monkeypatch):
    monkeypatch.setattr("tests.support.virtual_time.MOST_TURNS", 1000)

    async def main():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(VirtualDeadlockError, match="polls without sleeping"):
        run_virtual(main())


def test_threads_are_refused():
    async def main():
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(RuntimeError, match="no threads"):
        run_virtual(main())


def test_a_loopback_exchange_works_within_virtual_time():
    async def main():
        async def echo(reader, writer):
            await asyncio.sleep(60)
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
        return answer, asyncio.get_running_loop().time()

    answer, at = run_virtual(main())
    assert answer == b"hello\n"
    assert at >= 60


def test_aiolimiter_paces_in_virtual_time():
    async def main():
        limiter = AsyncLimiter(1, 0.3)
        for _ in range(1001):
            await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(300, rel=1e-6)
