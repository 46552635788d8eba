"""Plays a seed from the first step to the last: faults occur until the horizon, then every job must end."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.requests import Filters
from batcher.policy.input.body_edit import read_unset
from batcher.services.dead_letters import discard, retry
from batcher.services.jobs.manage import cancel, delete, finish_cancelling
from batcher.services.monitor.status import job_status
from batcher.services.runs.run import RunEnd
from batcher.store.jobs import jobs
from batcher.store.queue import settle
from batcher.store.sqlite.database import Database
from tests.simulation import ending
from tests.simulation.process import Died, Process
from tests.simulation.scenario import POISON, Deed, Doing, Scenario, draw
from tests.simulation.watcher import Broken, require
from tests.simulation.world import World
from tests.support.jobs import store_in
from tests.support.virtual_time import run_virtual

#: Virtual seconds within which a world without faults must end; no limit is too low for that.
PATIENCE_S = 1_200.0
#: Runs that may be needed for that: paused jobs are resumed, redriven jobs run again.
MOST_RUNS = 6


class Played(Struct, frozen=True, kw_only=True):
    """The result of a seed. `digest` identifies everything that happened."""

    seed: int
    digest: str
    arrivals: int
    kills: int
    seconds: float


def play(seed: int, *, tell: Callable[[str], None] | None = None) -> Played:
    """Play one seed; `tell` is called for every step. Raises Broken, with how to replay, if an invariant fails."""
    scenario = draw(seed)
    with tempfile.TemporaryDirectory(prefix="batcher-simulation-", ignore_cleanup_errors=True) as folder:
        shutil.copyfile(template(), Path(folder) / "batcher.db")
        world: list[World] = []
        try:
            return run_virtual(_play(scenario, Path(folder), world, tell))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            last = "\n".join(f"  {line}" for line in (world[0].lines[-40:] if world else []))
            raise Broken(f"seed {seed}: {error!r}\nreplay: SEED={seed} make simulate-long\n{last}") from error


_template: list[Path] = []


def template() -> Path:
    """An empty store to copy."""
    if not _template:
        import atexit

        folder = Path(tempfile.mkdtemp(prefix="batcher-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        with store_in(folder):
            pass
        _template.append(folder / "batcher.db")
    return _template[0]


async def _play(scenario: Scenario, folder: Path, made: list[World], tell: Callable[[str], None] | None) -> Played:
    world = World(scenario, folder, tell)
    made.append(world)
    unexpected: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: _collect(unexpected, context))
    try:
        with world.as_machine():
            await _go_wrong(world)
            world.provider.moody = False
            await _come_to_an_end(world)
            ending.check(world)
            require(not unexpected, "no error is lost", *unexpected)
    finally:
        for process in world.processes:
            process.database.close()
        world.watcher.close()
    return Played(
        seed=scenario.seed,
        digest=world.digest(),
        arrivals=len(world.provider.journal),
        kills=world.watcher.kills,
        seconds=world.now(),
    )


def _collect(unexpected: list[BaseException], context: dict[str, Any]) -> None:
    """Collect what the loop would log: ignored for a dead process, a failure for a live one."""
    error = context.get("exception")
    if (
        error is not None
        and not isinstance(error, Died | asyncio.CancelledError)
        and "never retrieved" not in str(context.get("message"))
    ):
        unexpected.append(error)


async def _go_wrong(world: World) -> None:
    """Run every fault and action of the scenario."""
    _submit(world, mortal=False)
    async with asyncio.TaskGroup() as actors:
        runner = actors.create_task(_keep_running(world))
        actors.create_task(_haunt(world))
        for deed in world.scenario.deeds:
            actors.create_task(_at(world, deed))
        for at, seconds in world.scenario.clock_steps:
            actors.create_task(_step_clock(world, at, seconds))
        await asyncio.sleep(world.scenario.horizon)
        world.signal(at_once=True)
        await runner


async def _keep_running(world: World) -> None:
    """Start a runner again whenever it has ended."""
    random = world.scenario.random
    while world.now() < world.scenario.horizon:
        if world.unfinished():
            await world.run(world.process("runner"))
        await asyncio.sleep(random.choice((0.1, 0.5, 5.0)))


async def _haunt(world: World) -> None:
    """I11: a late write of a dead process arrives when its successor is running."""
    while world.now() < world.scenario.horizon:
        await asyncio.sleep(world.scenario.random.uniform(0.5, 4.0))
        _settle_late(world)


def _settle_late(world: World) -> None:
    for process in world.processes:
        if not process.alive and process.given and world.is_succeeded(process):
            ghost = world.process("ghost", mortal=False)
            ghost.do("late", partial(_settle, ghost, process))
            ghost.end()


def _settle(ghost: Process, dead: Process) -> None:
    assert dead.holder is not None
    late, dead.given = dead.given, []
    for settlements in late:
        with ghost.database.write() as connection:
            settle.settle(connection, settlements, holder=dead.holder, now=ghost.clock.now())


async def _step_clock(world: World, at: float, seconds: float) -> None:
    await asyncio.sleep(at)
    world.clock_off_us += int(seconds * 1e6)
    world.watcher.clock_moved()


async def _at(world: World, deed: Deed) -> None:
    await asyncio.sleep(deed.at)
    world.trace("deed", deed.what.value)
    match deed.what:
        case Doing.SUBMIT:
            _submit(world)
        case Doing.RUN_BESIDE | Doing.RESUME:
            await world.run(world.process("runner"))
        case Doing.DRAIN | Doing.STOP:
            world.signal(at_once=deed.what is Doing.STOP)
        case Doing.KILL | Doing.POWER_CUT:
            world.boot += deed.what is Doing.POWER_CUT
            for process in list(world.processes):
                process.die()
        case _:
            with _person(world) as person:
                _command(deed, person)


def _submit(world: World, *, mortal: bool = True) -> None:
    if world.submitted < len(world.scenario.jobs):
        process = world.process("submit", mortal=mortal)
        world.submit(world.scenario.jobs[world.submitted], process)
        process.end()


@contextmanager
def _person(world: World) -> Iterator[Process]:
    process = world.process("command")
    try:
        yield process
    finally:
        process.end()


def _command(deed: Deed, person: Process) -> None:
    """Run a command that waits for nothing."""
    found = person.do("begin", lambda: _all(person.database))
    if not found:
        return
    job = found[int(deed.share * len(found))]
    match deed.what:
        case Doing.CANCEL:
            person.do("cancel", lambda: cancel(person.database, job, clock=person.clock))
        case Doing.DELETE:
            person.do("delete", lambda: delete(person.database, job, clock=person.clock))
        case Doing.DISCARD:
            person.do("discard", lambda: _discard(person.database, job))
        case Doing.RETRY | Doing.RETRY_EDITED:
            edited = deed.what is Doing.RETRY_EDITED
            person.do("retry", lambda: _retry(person.database, job, edited=edited))
        case _:
            person.do("begin", lambda: _look(person, job))


def _all(database: Database) -> list[Job]:
    with database.read() as connection:
        return jobs.all_jobs(connection)


def _discard(database: Database, job: Job) -> None:
    discard.discard(database, discard.plan_discard(database, Filters(job=job.id)))


def _retry(database: Database, job: Job, *, edited: bool) -> None:
    edits = [read_unset(POISON)] if edited else []
    retry.put_back(database, retry.choose(database, Filters(job=job.id), edits))


def _look(person: Process, job: Job) -> None:
    counts = job_status(person.database, job, now=person.clock.now()).counts
    total = counts.pop("total")
    whole = total == job.total or job.id in person.world.watcher.deleted
    require(whole and total == sum(counts.values()), "I1 every row is in one state", job.id, total, counts)


async def _come_to_an_end(world: World) -> None:
    """I9: once faults stop, every job ends."""
    left: list[JobId] = []
    for _ in range(MOST_RUNS):
        process = world.process("runner", mortal=False)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await world.run(process)
        except TimeoutError:
            raise Broken(f"I9 it does not end: {world.watcher.rows().values()}") from None
        _settle_late(world)
        left = world.unfinished()
        if not left:
            break
    require(not left, "I9 once faults end, every job ends", left, list(world.watcher.rows().values()))
    sent = len(world.provider.journal)
    with _person(world) as person:
        done = [job.id for job in person.do("begin", lambda: _all(person.database)) or ()]
        for job_id in done:
            # `cancel` or `delete` may have been killed in between: the same command goes on with it.
            person.do("cancel", partial(finish_cancelling, person.database, job_id))
    end = await world.run(world.process("runner", mortal=False), done)
    require(end is RunEnd.OVER, "I14 a finished job is over at once", end)
    require(len(world.provider.journal) == sent, "I14 resuming a finished job sends nothing", done)
