"""The limit on one core: `bare.py FILE BASE_URL CONCURRENCY` sends every body of the file and stores nothing.

As many workers as the concurrency share one iterator; every reply is read. Prints seconds and CPU seconds from the
first request to the last reply, as JSON. Bodies are read from the file before.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec


class _Line(msgspec.Struct):
    body: msgspec.Raw


async def _send_all(bodies: Iterator[bytes], url: str, concurrency: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Content-Type": "application/json"}
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(concurrency):
            tasks.create_task(_worker(session, bodies, url))


async def _worker(session: aiohttp.ClientSession, bodies: Iterator[bytes], url: str) -> None:
    for body in bodies:
        async with session.post(url, data=body) as response:
            await response.read()


def main(file: str, base_url: str, concurrency: str) -> None:
    read = msgspec.json.Decoder(_Line).decode
    with Path(file).open("rb") as lines:
        bodies = [bytes(read(line).body) for line in lines]
    began, cpu_began = time.perf_counter(), time.process_time()
    asyncio.run(_send_all(iter(bodies), f"{base_url}/chat/completions", int(concurrency)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
