"""Rows that repeat another row's body and sample at random: they share one answer, which may surprise."""

import msgspec

from batcher.domain.jobs import Job
from batcher.policy.input.deduplication import samples_at_random
from batcher.store.reports import job_counts
from batcher.store.sqlite.database import Database


def random_repeats(database: Database, job: Job) -> int:
    """How many rows of the job share the answer of another, though asking again would give another answer."""
    with database.read() as connection:
        return sum(
            followers
            for path, body, followers in job_counts.repeat_groups(connection, job)
            if samples_at_random(path, msgspec.json.decode(body))
        )
