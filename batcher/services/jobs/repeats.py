"""Rows that are the same as others: they share one answer, or were answered in an earlier job."""

from batcher.domain.jobs import Job
from batcher.policy.input.deduplication import differs_each_time
from batcher.ports import Store
from batcher.store.reports import job_counts, same_rows


def random_repeats(database: Store, job: Job) -> int:
    """Return how many rows of the job share an answer although another request would be answered differently."""
    with database.read() as connection:
        return sum(count for path, count in job_counts.followers(connection, job) if differs_each_time(path))


def earlier_answers(database: Store, job: Job) -> int:
    """Return how many rows of a new job have an answer of an earlier job, whether that is reused or not."""
    with database.read() as connection:
        return same_rows.answered_before(connection, job)


def shared_rows(database: Store, job: Job, earlier: Job) -> int:
    """Return how many rows of the job have the same body as a row of an earlier job."""
    with database.read() as connection:
        return same_rows.shared(connection, job, earlier)
