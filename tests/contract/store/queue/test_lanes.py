"""A lane is an endpoint, a key, a model and a service tier."""

from msgspec.structs import replace

from batcher.domain.ids import EndpointId
from batcher.domain.lanes import KnownLimits, LaneKey, LaneMemory
from batcher.store.queue import lanes
from tests.support.stores import START

KEY = LaneKey(endpoint_id=EndpointId(1), key_name="OTHER", model="m")


def test_every_tier_has_a_lane_with_limits_of_its_own(database):
    flex = replace(KEY, tier="flex")
    with database.write() as connection:
        default = lanes.open_lane(connection, KEY, now=START)
        cheap = lanes.open_lane(connection, flex, now=START)
        assert (default.key, cheap.key) == (KEY, flex)
        assert default.id != cheap.id
        slow = replace(cheap, memory=LaneMemory(limits=KnownLimits(rpm=5.0)))
        lanes.save(connection, slow, now=START)
        assert lanes.open_lane(connection, flex, now=START).memory == slow.memory
        assert lanes.open_lane(connection, KEY, now=START) == default
        known = lanes.of_endpoint(connection, KEY.endpoint_id, KEY.key_name)
    assert [lane.key for lane in known] == [KEY, flex]
