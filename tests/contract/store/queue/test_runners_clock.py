"""Repair of clock skew: if a runner's clock was ahead, due times are shifted so that waits keep their length."""

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


def set_heartbeat(database, now):
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE holders SET heartbeat_at = ?", (now,))


def repaired(database, now):
    with database.write() as connection:
        return runners.repair_clock_skew(connection, now=now)


@pytest.mark.parametrize(("latest", "ahead"), [(START, 0), (START - HOUR, 0), (START + HOUR, HOUR)])
def test_due_times_of_a_clock_that_was_ahead_are_shifted_back_by_the_difference(database, latest, ahead):
    job = submit_rows(database, rows_named("later", "due", "fresh"))
    holder = holder_of(database, ManualClock(latest))
    later, due, _ = holder.claim(job).claims
    holder.settle(requeued(later, latest + 20 * SECOND, at=latest), requeued(due, START - SECOND, at=latest))
    set_heartbeat(database, latest)
    assert repaired(database, START) == ahead
    waits = {name: row["available_at"] for name, row in stored(database).items()}
    assert waits["later"] == latest - ahead + 20 * SECOND
    assert (waits["due"], waits["fresh"]) == (START - SECOND, None)


def test_a_cool_down_keeps_its_length(database):
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE lanes SET cooling_until = ?", (START + HOUR + 5 * SECOND,))
    new_holder(database, now=START + HOUR)
    repaired(database, START)
    assert table(database, "lanes")[0]["cooling_until"] == START + 5 * SECOND


def test_the_repair_happens_once(database):
    new_holder(database, now=START + HOUR)
    assert repaired(database, START) == HOUR
    assert repaired(database, START) == 0


def test_without_an_earlier_runner_nothing_is_repaired(database):
    assert repaired(database, START) == 0
