"""Rows that repeat another row's body although the model samples at random: they share one answer."""

import msgspec

from batcher.domain.jobs import Job
from batcher.policy.input.deduplication import samples_at_random
from batcher.store.reports import job_counts
from batcher.store.sqlite.database import Database


def random_repeats(database: Database, job: Job) -> int:
    """Return how many rows of the job share an answer although another request would be answered differently."""
    with database.read() as connection:
        return sum(
            followers
            for path, body, followers in job_counts.repeat_groups(connection, job)
            if samples_at_random(path, msgspec.json.decode(body))
        )
