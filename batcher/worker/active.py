"""The time that a runner works on its jobs, written down for each."""

from collections import defaultdict
from collections.abc import Iterable

from batcher.domain.ids import JobId
from batcher.ports import Queue
from batcher.worker.state import JobRun


async def write_active(queue: Queue, jobs: Iterable[JobRun], now: float) -> None:
    """Add what was worked on each since this was last done; `now` is monotonic seconds."""
    worked: defaultdict[int, list[JobId]] = defaultdict(list)
    for job in jobs:
        worked[job.take_active_us(now)].append(job.job.id)
    for spent_us, of in sorted(worked.items()):
        if spent_us > 0:
            await queue.add_active(of, spent_us)
