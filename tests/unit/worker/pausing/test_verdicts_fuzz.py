"""Whatever a provider says, in whatever order: every run ends, no error breaks it, and nothing is left in hand."""

import asyncio
from random import Random

import pytest

from tests.support.providers import chat
from tests.support.scripted import OK, Said, error, use
from tests.support.workers import Rig

SAID: list[Said] = [
    OK,
    (0.01, *OK[1:]),
    (30.0, *OK[1:]),
    error(400, "bad"),
    error(400, "bad", param="p"),
    error(401, "invalid_api_key"),
    error(401, "invalid_api_key", after=2.0),
    error(402, "no_credit"),
    error(403, "blocked"),
    error(404, "model_not_found"),
    error(429, "rate_limit_exceeded"),
    error(500, "oops"),
    (0.002, 404, b"404 page not found"),
    (0.002, 200, b""),
    (0.002, 403, b"<html></html>"),
]


@pytest.mark.parametrize("seed", range(60))
async def test_every_run_ends_whatever_is_said(rig: Rig, seed: int):
    random = Random(seed)
    favoured = random.choices(SAID, k=3)
    share = random.choice((0.2, 0.7, 0.95))
    use(rig, lambda *_: random.choice(favoured) if random.random() < share else random.choice(SAID))
    models = random.choice((1, 3))
    bodies = [chat(f"row {number}", model=f"m{number % models}") for number in range(random.choice((3, 25, 80)))]
    jobs = [rig.submit(bodies, name=name, max_wait=120.0) for name in ("one", "other")[: random.choice((1, 2))]]
    for _ in range(3):
        worker = rig.worker(concurrency=random.choice((1, 4, 40)))
        running = asyncio.create_task(worker.run([job.id for job in jobs]))
        if random.random() < 0.5:
            await asyncio.sleep(random.uniform(0.1, 20.0))
            rig.resume(random.choice(jobs))
        async with asyncio.timeout(36_000.0):
            await running
        # A route that is paused keeps its hold until it is resumed.
        assert all(each.is_paused for each in worker.state.routes.values() if each.id in each.lane.held)
        assert worker.state.held_bytes == 0
        assert "claimed" not in rig.states()
        rig.resume(random.choice(jobs))
