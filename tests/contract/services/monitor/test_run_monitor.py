"""What a command's jobs look like while another process runs them: read from its store."""

import asyncio
from pathlib import Path

from batcher.services.monitor.run_monitor import RunMonitor
from batcher.store.jobs import jobs
from tests.support import jobs as made
from tests.support.stores import ManualClock


async def test_the_jobs_of_a_live_runner_are_read_from_its_store(tmp_path: Path):
    job = made.run_job(tmp_path, made.rows(answered=3, dead=1, pending=6))
    with made.live_runner(tmp_path), made.store_in(tmp_path) as database:
        monitor = RunMonitor(database, [job], ManualClock(), runner=lambda: None)
        assert monitor.view().in_flight == 0
        made.claimed_by_a_runner(tmp_path, job, claimed=4, sending=2)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(monitor.follow(lambda: monitor.view().in_flight == 2))
        view = monitor.view()
    assert (view.total, view.answered, view.dead_letters, view.in_flight) == (10, 3, 1, 2)
    assert view.lanes == []
    assert view.seconds_left is None


async def test_following_ends_if_a_job_is_deleted(tmp_path: Path):
    job = made.run_job(tmp_path, made.rows(answered=1))
    with made.store_in(tmp_path) as database:
        monitor = RunMonitor(database, [job], ManualClock(), runner=lambda: None)
        with database.write() as connection:
            while jobs.delete_some(connection, job):
                pass
        async with asyncio.timeout(20):
            await monitor.follow(lambda: False)
    assert monitor.view().answered == 1
