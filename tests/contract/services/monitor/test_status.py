"""`job_status`: the JSON of a job, from the store, at a given time."""

from msgspec.structs import replace

from batcher.domain.lanes import LaneKey
from batcher.ports import Store
from batcher.services.monitor.status import job_status, timestamp
from batcher.store.queue import lanes
from tests.support.stores import START, rows_named, submit_rows

SECOND = 1_000_000


def test_the_time_is_an_argument_so_a_lane_cools_down_until_that_time(database: Store):
    job = submit_rows(database, rows_named("a"))
    until = START + 5 * SECOND
    with database.write() as connection:
        key = LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model="m")
        lane = lanes.open_lane(connection, key, now=START)
        lanes.save(connection, replace(lane, cooling_until=until), now=START)

    def cooling(now: int) -> list[str | None]:
        return [lane.cooling_until for lane in job_status(database, job, now=now).lanes]

    assert cooling(until - 1) == [timestamp(until)]
    assert cooling(until) == [None]
