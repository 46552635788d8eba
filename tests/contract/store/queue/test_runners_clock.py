"""Repair of clock skew: if a runner's clock was ahead, due times are shifted so that waits keep their length."""

import msgspec
import pytest

from batcher.domain.lanes import DayUse, HourUse, KnownLimits
from batcher.store.queue import runners
from tests.support.stores import (
    SECOND,
    START,
    ManualClock,
    change,
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
    change(database, "UPDATE holders SET heartbeat_at = :now", now=now)


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
    change(database, "UPDATE lanes SET cooling_until = :until", until=START + HOUR + 5 * SECOND)
    new_holder(database, now=START + HOUR)
    repaired(database, START)
    assert table(database, "lanes")[0]["cooling_until"] == START + 5 * SECOND


def test_the_repair_happens_once(database):
    new_holder(database, now=START + HOUR)
    assert repaired(database, START) == HOUR
    assert repaired(database, START) == 0


def test_without_an_earlier_runner_nothing_is_repaired(database):
    assert repaired(database, START) == 0


# --- within one boot of the machine the difference is known, in both directions ---

DAY = 24 * HOUR
BOOT, BOOTED = "0f1e", START - 9 * HOUR


def ran(database, *, clock: int, boot: str | None = BOOT, cooling: int = HOUR) -> None:
    """A runner whose clock is wrong by `clock`: refused now, and told to wait."""
    with database.write() as connection:
        runners.start(connection, pid=1, host="here", boot=boot, booted_at=BOOTED + clock, now=START + clock)
    change(database, "UPDATE lanes SET cooling_until = :until", until=START + clock + cooling)


def next_run(database, *, after: int, boot: str | None = BOOT, booted_at: int | None = BOOTED) -> int:
    with database.write() as connection:
        return runners.repair_clock_skew(connection, now=START + after, boot=boot, booted_at=booted_at)


@pytest.mark.parametrize("clock", [-5 * DAY, -2 * HOUR, -61 * SECOND, 0, 61 * SECOND, 2 * HOUR, 5 * DAY])
@pytest.mark.parametrize("after", [0, 600 * SECOND])
def test_a_cool_down_survives_a_clock_that_was_wrong(database, clock, after):
    ran(database, clock=clock)
    assert next_run(database, after=after) == clock
    assert table(database, "lanes")[0]["cooling_until"] == START + HOUR
    with database.write() as connection:
        runners.start(connection, pid=2, host="here", boot=BOOT, booted_at=BOOTED, now=START + after)
    assert next_run(database, after=after) == 0


@pytest.mark.parametrize("clock", [-2 * HOUR, 2 * HOUR])
def test_a_row_that_was_due_by_the_wrong_clock_stays_due(database, clock):
    job = submit_rows(database, rows_named("later", "due"))
    holder = holder_of(database, ManualClock(START + clock))
    later, due = holder.claim(job).claims
    at = START + clock
    holder.settle(requeued(later, at + 20 * SECOND, at=at), requeued(due, at - SECOND, at=at))
    ran(database, clock=clock)
    next_run(database, after=SECOND)
    waits = {name: row["available_at"] for name, row in stored(database).items()}
    assert waits["later"] == START + 20 * SECOND
    assert waits["due"] <= START + SECOND


@pytest.mark.parametrize("clock", [-5 * DAY, -90 * 60 * SECOND, 90 * 60 * SECOND, 5 * DAY])
def test_what_was_used_of_a_day_still_counts(database, clock):
    hour = START // HOUR
    used = DayUse(hours=(HourUse(hour + clock // HOUR - 2, 5, 50), HourUse(hour + clock // HOUR, 7, 70)))
    limits = KnownLimits(day_until=(START + clock + 3 * HOUR) // SECOND)
    ran(database, clock=clock)
    stored = {"day": msgspec.json.encode(used).decode(), "limits": msgspec.json.encode(limits).decode()}
    change(database, "UPDATE lanes SET day = :day, limits = :limits", **stored)
    next_run(database, after=0)
    (lane,) = table(database, "lanes")
    hours = msgspec.json.decode(lane["day"], type=DayUse).hours
    assert (sum(each.requests for each in hours), sum(each.tokens for each in hours)) == (12, 120)
    assert all(hour - 3 <= each.hour <= hour for each in hours)
    assert msgspec.json.decode(lane["limits"], type=KnownLimits).day_until == (START + 3 * HOUR) // SECOND


@pytest.mark.parametrize(
    ("boot", "booted_at"), [("another", BOOTED), (None, BOOTED), (BOOT, None), (BOOT, BOOTED - SECOND // 2)]
)
def test_another_boot_or_a_little_drift_shifts_nothing(database, boot, booted_at):
    ran(database, clock=0)
    assert next_run(database, after=0, boot=boot, booted_at=booted_at) == 0
    assert table(database, "lanes")[0]["cooling_until"] == START + HOUR


def test_a_runner_of_an_earlier_version_left_no_time(database):
    new_holder(database, now=START + HOUR)
    assert next_run(database, after=0) == HOUR
