"""A process whose key is not the live runner's takes over from it; nothing is sent twice."""

import asyncio

import pytest
from msgspec.structs import replace

from batcher.domain.errors import ConfigError
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.services.runs.run import RunControl, RunEnd, run_jobs
from batcher.services.runs.succession import StaleKey
from batcher.store.jobs import jobs
from tests.support.providers import chats
from tests.support.workers import Recorder, Rig
from tests.unit.services.runs.test_run import House


class Process:
    """One process with keys of its own, by the variables that name them."""

    def __init__(self, house: House, **keys: str) -> None:
        self.house = house
        self.keys = keys
        self.stale: list[StaleKey] = []
        self.handed_over: list[int | None] = []
        self.control = RunControl()

    def mark(self, settings: JobSettings, salt: str) -> str:
        if settings.api_key_env not in self.keys:
            raise ConfigError(f"{settings.api_key_env} is not set")
        return f"{salt} {self.keys[settings.api_key_env]}"

    async def run(self, *of: Job) -> RunEnd:
        parts = replace(self.house.parts(), key_mark=self.mark)
        return await run_jobs(
            self.house.rig.database,
            [job.id for job in of],
            type(parts)(
                **{name: getattr(parts, name) for name in parts.__struct_fields__} | {"key_mark": self.mark}
            ),
            events=Recorder(),
            concurrency=4,
            control=self.control,
            handed_over=self.handed_over.append,
            key_is_stale=self.stale.append,
        )


@pytest.fixture
def house(rig: Rig) -> House:
    return House(rig)


@pytest.fixture
def two(rig: Rig) -> tuple[Job, Job]:
    return (
        rig.submit(chats(200), name="one", api_key_env="K1"),
        rig.submit(chats(20, start=500), name="two", api_key_env="K2"),
    )


def sent_twice(rig: Rig) -> list[str]:
    return [text for text, count in rig.provider.counts().items() if count > 1]


async def test_a_process_with_another_key_takes_over_and_the_runner_watches(rig: Rig, house: House, two):
    old, new = Process(house, K1="a", K2="bad"), Process(house, K1="a", K2="good")
    running = asyncio.create_task(old.run(*two))
    await asyncio.sleep(3)
    assert await new.run(two[1]) is RunEnd.OVER
    assert await running is RunEnd.OVER
    assert [job.id for each in new.stale for job in each.jobs] == [two[1].id]
    assert new.stale[0].lacking is None
    assert old.handed_over
    assert not old.stale
    assert rig.states() == {"completed": 220}
    assert sent_twice(rig) == []


async def test_a_process_with_the_same_keys_asks_nothing(house: House, two):
    old, new = Process(house, K1="a", K2="b"), Process(house, K2="b")
    running = asyncio.create_task(old.run(*two))
    await asyncio.sleep(3)
    assert await new.run(two[1]) is RunEnd.OVER
    assert await running is RunEnd.OVER
    assert (new.stale, old.handed_over) == ([], [])


async def test_without_the_keys_of_the_runners_other_jobs_it_stays(house: House, two):
    old, new = Process(house, K1="a", K2="bad"), Process(house, K2="good")
    running = asyncio.create_task(old.run(*two))
    await asyncio.sleep(3)
    assert await new.run(two[1]) is RunEnd.OVER
    assert await running is RunEnd.OVER
    (stale,) = new.stale
    assert stale.lacking is not None
    assert stale.lacking[0].id == two[0].id
    assert old.handed_over == []


async def test_a_runner_whose_successor_died_goes_on(rig: Rig, house: House, two):
    old = Process(house, K1="a", K2="b")
    running = asyncio.create_task(old.run(*two))
    await asyncio.sleep(3)
    with rig.database.write() as connection:
        jobs.want_in_place(connection, [two[1].id])
    assert await running is RunEnd.OVER
    assert rig.states() == {"completed": 220}
    assert sent_twice(rig) == []


async def test_two_with_other_keys_take_over_once_each(rig: Rig, house: House, two):
    old = Process(house, K1="a", K2="bad")
    others = [Process(house, K1="a", K2="good"), Process(house, K1="a", K2="better")]
    running = [asyncio.create_task(old.run(*two))]
    await asyncio.sleep(3)
    running += [asyncio.create_task(each.run(two[1])) for each in others]
    assert await asyncio.gather(*running) == [RunEnd.OVER] * 3
    assert rig.states() == {"completed": 220}
    assert sent_twice(rig) == []
    assert all(len(each.stale) <= 1 for each in [old, *others])


async def test_a_job_for_which_the_runner_has_no_key_is_taken_over(rig: Rig, house: House, two):
    old, new = Process(house, K1="a"), Process(house, K1="a", K2="b")
    running = asyncio.create_task(old.run(two[0]))
    await asyncio.sleep(2)
    assert await new.run(two[1]) is RunEnd.OVER
    assert await running is RunEnd.OVER
    assert len(new.stale) == 1
    assert rig.states() == {"completed": 220}


async def test_an_interruption_while_handing_over_ends_the_runner(rig: Rig, house: House, two):
    old = Process(house, K1="a", K2="b")
    running = asyncio.create_task(old.run(*two))
    await asyncio.sleep(3)
    with rig.database.write() as connection:
        jobs.want_in_place(connection, [two[1].id])
    await asyncio.sleep(1.5)
    old.control.drain(5.0)
    assert await running is RunEnd.INTERRUPTED
    assert "claimed" not in rig.states()
