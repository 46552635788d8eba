"""Count and remove the answers that are cached for reuse. A job's results are never touched."""

from msgspec import Struct

from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Clock, Store
from batcher.services.monitor.status import timestamp
from batcher.services.store.reclaim import reclaim
from batcher.store.reports import cache


class CachedAnswers(Struct, frozen=True, kw_only=True):
    """The cached answers of one endpoint."""

    base_url: str
    answers: int
    #: Total size of their bodies.
    bytes: int
    oldest: str | None
    newest: str | None


class CacheStats(Struct, frozen=True, kw_only=True):
    """`batcher cache stats --json`."""

    data: list[CachedAnswers]
    answers: int
    bytes: int


def stats(database: Store | None) -> CacheStats:
    """Return the cached answers by endpoint; none if there is no store."""
    if database is None:
        return CacheStats(data=[], answers=0, bytes=0)
    with database.read() as connection:
        lines = cache.stats(connection)
    return CacheStats(
        data=[
            CachedAnswers(
                base_url=shown_base_url(line.base_url),
                answers=line.answers,
                bytes=line.size,
                oldest=timestamp(line.oldest),
                newest=timestamp(line.newest),
            )
            for line in lines
        ],
        answers=sum(line.answers for line in lines),
        bytes=sum(line.size for line in lines),
    )


def clear(database: Store, *, older_than: float | None, clock: Clock) -> int:
    """Remove cached answers: all, or those older than `older_than` seconds; returns how many."""
    before = None if older_than is None else clock.now() - round(older_than * 1e6)
    with database.write() as connection:
        cleared = cache.clear(connection, before=before)
    reclaim(database)
    return cleared
