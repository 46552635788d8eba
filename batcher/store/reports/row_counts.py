"""How many rows each table has."""

from sqlalchemy import Connection, func, select

from batcher.domain.states import JobState
from batcher.store.schema import attempts, cache, jobs, requests, responses


def row_counts(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each table."""
    shown = select(func.count()).select_from(jobs).where(jobs.c.state != JobState.SUBMITTING.value)
    counted = {"jobs": connection.execute(shown).scalar_one()}
    for name, table in (
        ("requests", requests),
        ("answers", responses),
        ("attempts", attempts),
        ("kept_for_reuse", cache),
    ):
        counted[name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
    return counted
