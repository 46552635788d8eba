"""Dead letters given up for good."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId
from batcher.services.dead_letters.retry import AT_ONCE, matching_ids
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.dead_letters import redrive
from batcher.store.dead_letters.listing import Filters
from batcher.store.sqlite.database import Database


class DiscardPlan(Struct, frozen=True, kw_only=True):
    """What would be given up."""

    ids: Sequence[RequestId]
    jobs: Sequence[JobId]


def plan_discard(database: Database, filters: Filters) -> DiscardPlan:
    """What the filters mean. Raises UsageError where a request is named that is no dead letter of them."""
    ids = matching_ids(database, filters)
    with database.read() as connection:
        return DiscardPlan(ids=ids, jobs=list(dead_letter_filters.by_job(connection, filters)))


def discard(database: Database, doomed: DiscardPlan) -> int:
    """Cancel them; returns how many. Rows that died with them, and their jobs, stay as they are."""
    count = 0
    for start in range(0, len(doomed.ids), AT_ONCE):
        with database.write() as connection:
            count += redrive.discard(connection, doomed.ids[start : start + AT_ONCE])
    return count
