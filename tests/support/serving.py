"""A simulated provider as a program: `serving.py SETTINGS JOURNAL` prints its base URL and serves until killed."""

import asyncio
import sys
from pathlib import Path

import msgspec

from batcher.simulate import Journal, SimulatedProvider, SimulatedServer


async def serve(encoded: str, journal: str) -> None:
    settings = msgspec.json.decode(encoded, type=SimulatedProvider)
    log = Journal(path=Path(journal)) if journal else None
    async with SimulatedServer(settings, journal=log) as server:
        print(server.url, flush=True)  # noqa: T201 - how a test learns the port
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
