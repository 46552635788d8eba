"""A process that submits and runs jobs for days keeps nothing of those that are finished."""

import gc
from collections import Counter
from pathlib import Path

import pytest

from batcher import Batcher

#: What belongs to a run, and to a job.
_RUN = {"Arrivals", "DeliveredRows", "RunControl", "Settlement", "State", "Stream", "Worker"}
_JOB = {"Claim", "Job", "JobRun", "Lane", "LaneGate", "RouteRun"}


def kept() -> Counter[str]:
    gc.collect()
    found = [type(each) for each in gc.get_objects()]
    ours = [each.__name__ for each in found if str(each.__module__).startswith("batcher.")]
    return Counter(name for name in ours if name in _RUN | _JOB)


async def test_nothing_of_a_finished_job_stays_in_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    async with Batcher(simulate=True) as queue:
        for number in range(3):
            rows = [
                {"model": f"m{number}-{n}", "messages": [{"role": "user", "content": str(n)}]} for n in range(4)
            ]
            job = await queue.submit(rows, name=f"job-{number}", new=True)
            assert len([result async for result in queue.run(job)]) == 4
            del job, rows
            assert kept() == Counter()
