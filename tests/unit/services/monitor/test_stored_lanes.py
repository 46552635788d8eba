import pytest

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.lanes import DayUse, HourUse, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.domain.settings import Limits
from batcher.domain.states import LimitSource
from batcher.policy.rate.daily_quota import HOUR_US
from batcher.services.monitor.stored_lanes import resting

NOW = 1_000 * HOUR_US + 5
SECOND = 1_000_000
KEY = LaneKey(endpoint_id=EndpointId(1), key_name="K", model="m")


def lane(
    limits: KnownLimits = KnownLimits(),  # noqa: B008 - frozen
    *,
    cooling_until: int | None = None,
    day: DayUse = DayUse(),  # noqa: B008 - frozen
) -> StoredLane:
    return StoredLane(
        id=LaneId(1), key=KEY, memory=LaneMemory(limits=limits, day=day), cooling_until=cooling_until
    )


@pytest.mark.parametrize(
    ("stored", "given", "rpm", "tpm", "source"),
    [
        (None, Limits(), None, None, None),
        (None, Limits(rpm=5), 5, None, LimitSource.GIVEN),
        (lane(), Limits(), None, None, None),
        (lane(KnownLimits(rpm=600, tpm=90_000)), Limits(), 600, 90_000, LimitSource.ANNOUNCED),
        (lane(KnownLimits(rpm=600)), Limits(rpm=500), 500, None, LimitSource.GIVEN),
        (lane(KnownLimits(rpm=400)), Limits(rpm=500), 400, None, LimitSource.GIVEN),
        (lane(KnownLimits(learned_rpm=1_800)), Limits(), 1_800, None, LimitSource.LEARNED),
        (
            lane(KnownLimits(rpm=600, input_tpm=40_000, output_tpm=8_000)),
            Limits(),
            600,
            40_000,
            LimitSource.ANNOUNCED,
        ),
    ],
)
def test_limits_are_those_that_the_next_run_will_keep(stored, given, rpm, tpm, source):
    found = resting(stored, given, now=NOW)
    assert (found.rpm, found.tpm, found.source) == (rpm, tpm, source)


USED = DayUse(hours=(HourUse(1_000, 7, 700),))


@pytest.mark.parametrize(
    ("stored", "given", "binding", "until"),
    [
        (lane(), Limits(), None, None),
        (lane(cooling_until=NOW), Limits(), None, None),
        (lane(cooling_until=NOW + SECOND), Limits(), "provider", NOW + SECOND),
        (lane(KnownLimits(day_until=NOW // SECOND + 60)), Limits(), "day", NOW // SECOND * SECOND + 60 * SECOND),
        (lane(day=USED), Limits(rpd=8), None, None),
        (lane(day=USED), Limits(rpd=7), "day", 1_025 * HOUR_US),
        (lane(day=USED, cooling_until=NOW + SECOND), Limits(tpd=700), "day", 1_025 * HOUR_US),
    ],
)
def test_what_holds_the_next_request_is_named_with_its_end(stored, given, binding, until):
    found = resting(stored, given, now=NOW)
    assert (found.binding, found.cooling_until) == (binding, until)
