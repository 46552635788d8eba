"""Serve the simulated provider until stopped."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from batcher.domain.errors import BatcherError, UsageError
from batcher.domain.messages import Cause
from batcher.ports import Clock
from batcher.simulate import Journal, RunningServer, SimulatedProvider, Stats, start


async def serve(
    settings: SimulatedProvider,
    *,
    journal: Path | None,
    clock: Clock,
    listening: Callable[[RunningServer], None],
    stop: asyncio.Event,
) -> Stats:
    """Serve until `stop` is set; returns statistics of the requests received.

    `listening` is called when the server accepts connections. Raises BatcherError if the port cannot be bound,
    UsageError if the journal cannot be written.
    """
    kept = _journal(journal)
    try:
        server = await start(settings, journal=kept, clock=clock)
    except OSError as error:
        kept.close()
        raise BatcherError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}",
            hint=Cause.OTHER_PORT(),
        ) from error
    try:
        listening(server)
        await stop.wait()
    finally:
        await server.stop()
    return kept.stats()


def _journal(path: Path | None) -> Journal:
    try:
        return Journal(path=path)
    except OSError as error:
        raise UsageError(
            f"cannot write the journal {path}: {error.strerror}", hint=Cause.OTHER_JOURNAL()
        ) from error
