"""A lane is an endpoint, a key, a model and a service tier."""

from msgspec.structs import replace

from batcher.domain.ids import EndpointId
from batcher.domain.lanes import KnownLimits, LaneKey, LaneMemory, LaneView
from batcher.domain.states import LimitSource
from batcher.store.queue import lanes, runners
from tests.support.stores import NOTHING_IN_HAND, START, new_holder

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


def view_of(key: LaneKey, rpm: float) -> LaneView:
    return LaneView(
        key=key,
        rpm=rpm,
        tpm=None,
        source=LimitSource.GIVEN,
        binding="rpm",
        utilization=0.5,
        in_flight=0,
        cooling_until=None,
    )


def test_every_tier_is_seen_as_a_lane_of_its_own(database):
    flex = replace(KEY, tier="flex")
    holder = new_holder(database)
    with database.write() as connection:
        opened = [lanes.open_lane(connection, key, now=START) for key in (KEY, flex)]
        views = {lane.id: view_of(lane.key, rpm) for lane, rpm in zip(opened, (500.0, 5.0), strict=True)}
        runners.beat(connection, holder, snapshot=NOTHING_IN_HAND, views=views, now=START)
        seen = runners.lane_views(connection, KEY.endpoint_id, KEY.key_name)
    assert {key: view.rpm for key, view in seen.items()} == {KEY: 500.0, flex: 5.0}
