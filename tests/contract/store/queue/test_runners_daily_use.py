"""What a dead runner had in flight counts for the limits per day."""

import msgspec

from batcher.domain.ids import EndpointId
from batcher.domain.lanes import DayUse, HourUse, LaneKey, LaneMemory
from batcher.domain.requests import SentClaims
from batcher.policy.rate.daily_quota import HOUR_US
from batcher.store.queue import lanes, runners
from tests.support.stores import LANE, START, completed, holder_of, rows_named, submit_rows, table

HOUR = START // HOUR_US


def day_of(database) -> tuple[HourUse, ...]:
    (lane,) = table(database, "lanes")
    return () if lane["day"] is None else msgspec.json.decode(lane["day"], type=DayUse).hours


def keep(database, use: DayUse) -> None:
    with database.write() as connection:
        stored = lanes.of_endpoint(connection, EndpointId(1), "K")[0]
        assert stored.id == LANE
        lanes.save(connection, msgspec.structs.replace(stored, memory=LaneMemory(day=use)), now=START)


def rescue(database, sent=None) -> None:
    with database.write() as connection:
        runners.rescue(connection, now=START, sent=sent)


def test_lost_requests_are_added_to_what_was_stored(database) -> None:
    job = submit_rows(database, rows_named("a", "b", "c", "d"), api_key_env="K")
    holder = holder_of(database)
    first, *_ = holder.claim(job, most=3).claims
    holder.settle(completed(first))
    keep(database, DayUse(hours=(HourUse(HOUR - 3, 5, 50), HourUse(HOUR, 1, 7))))
    rescue(database)
    assert day_of(database) == (HourUse(HOUR - 3, 5, 50), HourUse(HOUR, 1 + 2, 7 + 2 * 30))
    rescue(database)
    assert day_of(database)[-1].requests == 3


def test_requests_that_were_never_sent_do_not_count(database) -> None:
    job = submit_rows(database, rows_named("a", "b", "c"), api_key_env="K")
    holder = holder_of(database)
    sent, *_ = holder.claim(job).claims
    rescue(database, SentClaims(holder=holder.id, sends=frozenset({(sent.request_id, sent.send)})))
    assert day_of(database) == (HourUse(HOUR, 1, 30),)


def test_another_key_has_a_day_of_its_own(database) -> None:
    job = submit_rows(database, rows_named("a"), api_key_env="OTHER")
    holder_of(database).claim(job)
    rescue(database)
    assert day_of(database) == ()


def test_another_tier_of_the_model_has_a_day_of_its_own(database) -> None:
    job = submit_rows(database, rows_named("a", "b"), api_key_env="K")
    flex = LaneKey(endpoint_id=job.endpoint_id, key_name="K", model="m", tier="flex")
    spent = LaneMemory(day=DayUse(hours=(HourUse(HOUR, 9, 90),)))
    with database.write() as connection:
        lane = lanes.open_lane(connection, flex, now=START)
        lanes.save(connection, msgspec.structs.replace(lane, memory=spent), now=START)
    holder_of(database).claim(job)
    rescue(database)
    with database.read() as connection:
        days = {lane.key.tier: lane.memory.day.hours for lane in lanes.of_endpoint(connection, EndpointId(1), "K")}
    assert days == {"": (HourUse(HOUR, 2, 60),), "flex": (HourUse(HOUR, 9, 90),)}
