"""Answers kept for reuse. A job's results are separate: they are `responses` that requests point at."""

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select

from batcher.store.schema import cache, endpoints, responses


class CacheLine(Struct, frozen=True, kw_only=True):
    """The answers kept for one endpoint. Times are UTC microseconds."""

    base_url: str
    answers: int
    #: Total bytes of their bodies.
    size: int
    oldest: int
    newest: int


def stats(connection: Connection) -> list[CacheLine]:
    """Return what is kept, by endpoint."""
    query = (
        select(
            endpoints.c.base_url,
            func.count().label("answers"),
            func.sum(func.length(responses.c.body)).label("size"),
            func.min(cache.c.created_at).label("oldest"),
            func.max(cache.c.created_at).label("newest"),
        )
        .select_from(cache)
        .join(endpoints, endpoints.c.id == cache.c.cache_scope)
        .join(responses, responses.c.id == cache.c.response_id)
        .group_by(endpoints.c.base_url)
        .order_by(endpoints.c.base_url)
    )
    return [CacheLine(**row) for row in connection.execute(query).mappings()]


def clear(connection: Connection, *, before: int | None) -> int:
    """Forget all answers, or those from before a time; return how many. No result is touched."""
    doomed = delete(cache)
    if before is not None:
        doomed = doomed.where(cache.c.created_at < before)
    return connection.execute(doomed).rowcount
