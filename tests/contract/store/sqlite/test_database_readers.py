"""A reader whose consumer has stopped keeps no snapshot, which would keep SQLite's log from being reset."""

from batcher.domain.requests import Filters
from batcher.services.dead_letters import export as dead_letter_export
from batcher.services.results import export
from batcher.store.reports import results
from tests.support.stores import completed, dead_lettered, numbered, submit_rows


def is_read(database) -> bool:
    """Whether a reader keeps the log from being reset."""
    with database._mutex, database._lock.held():
        database._writer.exec_driver_sql("PRAGMA busy_timeout = 0")
        busy, _, _ = database._writer.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)").one()
    return bool(busy)


def test_the_log_can_be_reset_while_a_consumer_has_stopped_reading(database, holder):
    job = submit_rows(database, numbered(9))
    claims = list(holder.claim(job).claims)
    holder.settle(*map(completed, claims[:4]), *map(dead_lettered, claims[4:7]))
    readers = [
        export.answered_lines(database, job),
        export.failed_lines(database, job),
        dead_letter_export._lines(database, Filters()),
    ]
    for lines in readers:
        next(lines)
    holder.settle(completed(claims[7]))
    assert not is_read(database)
    with database.read() as connection:
        results.is_whole(connection, job)
        holder.settle(completed(claims[8]))
        assert is_read(database)
    assert [len(list(lines)) + 1 for lines in readers] == [4, 3, 3]
