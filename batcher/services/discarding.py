"""Dead letters given up for good."""

from batcher.domain.ids import JobId
from batcher.services.redriving import AT_ONCE, chosen_ids
from batcher.store import meant, redrive
from batcher.store.dead_letters import Filters
from batcher.store.engine import Database


def would_go(database: Database, filters: Filters) -> dict[JobId, int]:
    """How many dead letters of which jobs are meant. Raises UsageError where one is named that is none."""
    chosen_ids(database, filters)
    with database.read() as connection:
        return meant.by_job(connection, filters)


def discard(database: Database, filters: Filters) -> int:
    """Cancel them; returns how many. Rows that died with them, and their jobs, stay as they are."""
    ids = chosen_ids(database, filters)
    count = 0
    for start in range(0, len(ids), AT_ONCE):
        with database.write() as connection:
            count += redrive.discard(connection, ids[start : start + AT_ONCE])
    return count
