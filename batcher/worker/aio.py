"""Helpers for waiting for events and tasks."""

import asyncio
from collections.abc import Awaitable, Iterable


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel the tasks and return when they have ended. The code that started them reports their errors."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


async def all_of(work: Iterable[Awaitable[object]]) -> None:
    """Await all of them, then raise the first error, if any."""
    error: Exception | None = None
    for each in work:
        try:
            await each
        except Exception as failed:  # noqa: BLE001 - raised below
            error = error or failed
    if error is not None:
        raise error
