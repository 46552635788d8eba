"""Write the results of each job of a run when that job is finished, not when all are."""

import asyncio
from collections.abc import Mapping, Sequence

from batcher.domain.errors import BatcherError
from batcher.domain.events import DrainStarted, Event, JobFinished
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.states import JobState, ShownState
from batcher.ports import Clock, Store
from batcher.services.jobs import manage
from batcher.services.monitor.status import job_status
from batcher.services.results import export
from batcher.services.results.export import Exported
from batcher.services.results.places import remembered_by
from batcher.services.results.write import remembered_output


class ResultWriter:
    """Writes the result files of several jobs. An error is kept, and the other files are still written."""

    def __init__(self, database: Store, jobs: Sequence[Job], places: Mapping[JobId, str]) -> None:
        self._database = database
        self._places = places
        self._jobs = [job.id for job in jobs]
        self._finished: asyncio.Queue[JobId] = asyncio.Queue()
        self._tried: set[JobId] = set()
        self.written: dict[JobId, Exported] = {}
        self.errors: list[BatcherError] = []

    def emit(self, event: Event) -> None:
        """Queue a job of this run that has finished.

        A single job is left to `write_the_rest`, unless the run first waits for requests of other processes' jobs.
        """
        if isinstance(event, JobFinished) and event.job_id in self._jobs and len(self._jobs) > 1:
            self._finished.put_nowait(event.job_id)
        if isinstance(event, DrainStarted) and event.handing_over:
            for job_id in self._jobs:
                self._finished.put_nowait(job_id)

    async def run(self) -> None:
        """Write the results of finished jobs until cancelled."""
        while True:
            job_id = await self._finished.get()
            if job_id not in self._tried and self._read(job_id).state is JobState.COMPLETED:
                # On a thread, so that the run continues. The file is replaced atomically, also if this is
                # cancelled.
                await asyncio.to_thread(self._write, job_id)

    def write_the_rest(self, clock: Clock) -> list[Job]:
        """Write the results that were not written yet, of jobs that are finished or paused with some answers.

        Returns the current state of all jobs.
        """
        current = [self._read(job_id) for job_id in self._jobs]
        for job in current:
            is_over = job.state in {JobState.COMPLETED, JobState.CANCELLED} or self._is_paused(job, clock)
            if is_over and job.id not in self._tried:
                self._write(job.id)
        return current

    def _is_paused(self, job: Job, clock: Clock) -> bool:
        """Return whether the job waits for a person, and some of its rows are answered."""
        status = job_status(self._database, job, now=clock.now())
        return status.state is ShownState.PAUSED and bool(status.counts["completed"])

    def _read(self, job_id: JobId) -> Job:
        return manage.get(self._database, job_id)

    def _write(self, job_id: JobId) -> None:
        job = self._read(job_id)
        self._tried.add(job_id)
        try:
            place = self._places.get(job_id) or remembered_output(job)
            with remembered_by(job, place):
                self.written[job_id] = export.write_job(self._database, job, results=place)
        except BatcherError as error:
            self.errors.append(error)
