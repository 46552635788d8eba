"""Dead letters of one job go back to pending, all of them."""

from batcher.domain.jobs import Job
from batcher.store import dead_letters, jobs
from batcher.store.engine import Database


def retry_job(database: Database, job: Job) -> tuple[Job, int]:
    """Put every dead letter of the job back, history kept.

    Returns the job, open again where there were any, and how many there were.
    """
    with database.write() as connection:
        letters = dead_letters.letters(connection, dead_letters.Filters(job=job.id), limit=None)
        if letters:
            dead_letters.retry(connection, [letter.request for letter in letters])
            jobs.reopen(connection, job.id)
        return jobs.get(connection, job.id), len(letters)
