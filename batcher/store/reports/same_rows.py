"""Which rows of a job have the same content as rows of earlier jobs, by their fingerprints."""

from sqlalchemy import Connection, exists, func, select

from batcher.domain.jobs import Job
from batcher.store.jobs.id_range import within
from batcher.store.schema import cache, requests


def answered_before(connection: Connection, job: Job) -> int:
    """Return how many rows of the job have an answer in the cache."""
    in_scope = cache.c.cache_scope == job.cache_scope
    if connection.execute(select(cache.c.response_id).where(in_scope).limit(1)).first() is None:
        return 0
    known = exists().where(in_scope, cache.c.fingerprint == requests.c.fingerprint)
    query = select(func.count()).select_from(requests).where(within(job), known)
    return int(connection.execute(query).scalar_one())


def shared(connection: Connection, job: Job, earlier: Job) -> int:
    """Return how many rows of the job have the fingerprint of a row of an earlier job."""
    other = requests.alias("other")
    theirs = select(other.c.fingerprint).where(within(earlier, other), other.c.fingerprint.is_not(None))
    query = select(func.count()).select_from(requests).where(within(job), requests.c.fingerprint.in_(theirs))
    return int(connection.execute(query).scalar_one())
