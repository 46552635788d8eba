"""Say what becomes of jobs that other commands had handed over to a runner whose own jobs are over."""

import time
from collections.abc import Collection

from batcher.cli.terminal.output import note
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState
from batcher.ports import Store
from batcher.services.jobs.manage import live_runner, unfinished

#: A command that waits for its job looks for the runner about three times a second.
_LOOKS, _LOOK_SECONDS = 8, 0.2


def say_left_over(database: Store, own: Collection[JobId]) -> None:
    """Say who continues the jobs that were handed over and are not finished, if there are any."""
    if not _left(database, own):
        return
    pid = None
    for _ in range(_LOOKS):
        pid = live_runner(database)
        if pid is not None:
            break
        time.sleep(_LOOK_SECONDS)
    for job in _left(database, own):
        begun = f"job {job.id} ({job.name}), which another command handed over, is not finished"
        if pid is None:
            note(f"{begun}; `batcher resume {job.id}` continues it")
        else:
            note(f"{begun}; it goes on in another process (pid {pid})")


def _left(database: Store, own: Collection[JobId]) -> list[Job]:
    return [job for job in unfinished(database) if job.wanted and job.state is JobState.OPEN and job.id not in own]
