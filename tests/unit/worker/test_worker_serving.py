"""A worker that stays: it takes what others hand over, is there when there is nothing, and keeps nothing."""

import asyncio

from tests.support.providers import chat, chats
from tests.support.workers import Rig


async def test_it_runs_what_is_handed_over_and_stays_when_nothing_is_left(rig: Rig):
    worker = rig.worker(concurrency=4)
    serving = asyncio.create_task(worker.serve())
    await asyncio.sleep(60)
    first = rig.submit(chats(20), name="first")
    await asyncio.sleep(60)
    assert rig.states(first) == {"completed": 20}
    await asyncio.sleep(3_600)
    second = rig.submit(chats(20, start=100), name="second")
    await asyncio.sleep(60)
    assert rig.states(second) == {"completed": 20}
    assert not serving.done()
    worker.drain(None)
    await serving
    assert set(rig.provider.counts().values()) == {1}


async def test_nothing_of_a_finished_job_stays_in_its_memory(rig: Rig):
    worker = rig.worker(concurrency=4)
    serving = asyncio.create_task(worker.serve())
    for number in range(3):
        refused = chat(f"refused {number}", simulate={"status": 400})
        rig.submit([*chats(9, start=100 * number, model=f"m{number}"), refused], name=f"job {number}")
        await asyncio.sleep(600)
    state = worker.state
    assert rig.states() == {"completed": 27, "dead_lettered": 3}
    kept = (state.jobs, state.routes, state.lanes, state.endpoints)
    of_rows = (state.sending, state.holding, state.refusals, state.blocked_alone)
    assert not any((*kept, *of_rows))
    assert (state.held_bytes, state.alone) == (0, None)
    worker.stop()
    await serving


async def test_it_drains_as_a_run_does(rig: Rig):
    worker = rig.worker(concurrency=4)
    serving = asyncio.create_task(worker.serve())
    job = rig.submit(chats(200))
    await asyncio.sleep(5)
    worker.drain(None)
    await serving
    states = rig.states(job)
    assert states["completed"] > 0
    assert states["pending"] > 0
    assert sum(states.values()) == 200
    assert set(rig.provider.counts().values()) == {1}
