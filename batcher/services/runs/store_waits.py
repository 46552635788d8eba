"""Work on the store that must not keep a run from hearing a signal while it waits for another process."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from batcher.domain.errors import StoreError
from batcher.ports import Store

T = TypeVar("T")

#: Seconds in which a write may still get the store's lock after the run was stopped.
_GRACE_SECONDS = 1.0


class Interrupted(Exception):
    """A signal ended a wait for the store before anything was sent."""


async def write(database: Store, until: asyncio.Event, work: Callable[[], T]) -> T:
    """Run work on the store; if it must wait for a lock, in a thread, so that signals are handled meanwhile.

    When `until` is set, the wait ends: raises `Interrupted`, unless the work was done by then.
    """
    if not database.is_busy():
        return work()
    working = asyncio.ensure_future(asyncio.to_thread(work))
    stopping = asyncio.ensure_future(until.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await asyncio.wait({working}, timeout=_GRACE_SECONDS)
            database.wait(False)
            await asyncio.wait({working})
    except asyncio.CancelledError:
        database.wait(False)
        await asyncio.wait({working})
        raise
    finally:
        stopping.cancel()
    if until.is_set() and isinstance(working.exception(), StoreError):
        raise Interrupted from working.exception()
    return working.result()


@asynccontextmanager
async def no_waiting_once_stopped(database: Store, stopped: asyncio.Event) -> AsyncIterator[None]:
    """Inside the block, end waits for the store's lock when the run was asked to stop at once."""

    async def end_waits() -> None:
        await stopped.wait()
        await asyncio.sleep(_GRACE_SECONDS)
        database.wait(False)

    task = asyncio.create_task(end_waits())
    try:
        yield
    finally:
        task.cancel()
