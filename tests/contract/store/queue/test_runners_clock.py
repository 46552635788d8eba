"""A runner's clock was ahead, and the next one's is right: what waits, waits as long as it was told to."""

import pytest

from batcher.store.queue import runners
from tests.support.stores import (
    SECOND,
    START,
    ManualClock,
    holder_of,
    new_holder,
    requeued,
    rows_named,
    stored,
    submit_rows,
    table,
)

HOUR = 3_600 * SECOND


def lived_at(database, now):
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE holders SET heartbeat_at = ?", (now,))


def repaired(database, now):
    with database.write() as connection:
        return runners.repair_clock_skew(connection, now=now)


@pytest.mark.parametrize(("latest", "ahead"), [(START, 0), (START - HOUR, 0), (START + HOUR, HOUR)])
def test_what_was_put_off_by_a_clock_that_was_ahead_comes_nearer_by_as_much(database, latest, ahead):
    job = submit_rows(database, rows_named("later", "due", "fresh"))
    holder = holder_of(database, ManualClock(latest))
    later, due, _ = holder.claim(job).claims
    holder.settle(requeued(later, latest + 20 * SECOND, at=latest), requeued(due, START - SECOND, at=latest))
    lived_at(database, latest)
    assert repaired(database, START) == ahead
    waits = {name: row["available_at"] for name, row in stored(database).items()}
    assert waits["later"] == latest - ahead + 20 * SECOND
    assert (waits["due"], waits["fresh"]) == (START - SECOND, None)


def test_a_lane_that_cools_down_cools_no_longer_than_it_was_told_to(database):
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE lanes SET cooling_until = ?", (START + HOUR + 5 * SECOND,))
    new_holder(database, now=START + HOUR)
    repaired(database, START)
    assert table(database, "lanes")[0]["cooling_until"] == START + 5 * SECOND


def test_it_is_done_once(database):
    new_holder(database, now=START + HOUR)
    assert repaired(database, START) == HOUR
    assert repaired(database, START) == 0


def test_where_nothing_ever_ran_there_is_nothing_to_do(database):
    assert repaired(database, START) == 0
