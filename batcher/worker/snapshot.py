"""What a runner writes to the store once a second, so that `status` in another process can show it.

Lanes are written by themselves, and only those that have changed: there may be thousands.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.ids import EndpointId, JobId
from batcher.domain.lanes import LaneView
from batcher.domain.states import LimitSource

#: Ends of cool-downs that are nearer to each other are the same.
_SAME_US = 10_000


class LaneSnapshot(Struct, frozen=True, kw_only=True):
    """A lane as the runner sees it now."""

    endpoint_id: EndpointId
    key_name: str
    model: str
    rpm: float | None
    tpm: float | None
    source: LimitSource
    binding: str
    utilization: float | None
    in_flight: int
    #: UTC microseconds.
    cooling_until: int | None


class Snapshot(Struct, frozen=True, kw_only=True):
    """The runner at one instant."""

    jobs: Sequence[JobId]
    in_flight: int
    #: Requests of a job settled per second, recently.
    rates: Mapping[JobId, float]
    #: Requests of a job in flight; a job that has none is left out.
    sending: Mapping[JobId, int] = {}
    #: Base URLs to which sending has stopped in an outage.
    outages: Sequence[str] = ()
    #: Marks of the credentials that are sent, by job: a process that has others compares them.
    keys: Mapping[JobId, str] = {}


def lane_snapshot(view: LaneView) -> LaneSnapshot:
    """Return the lane's view in flat form."""
    return LaneSnapshot(
        endpoint_id=view.key.endpoint_id,
        key_name=view.key.key_name,
        model=view.key.model,
        rpm=view.rpm,
        tpm=view.tpm,
        source=view.source,
        binding=view.binding,
        utilization=view.utilization,
        in_flight=view.in_flight,
        cooling_until=view.cooling_until,
    )


def encode(snapshot: Snapshot) -> str:
    """Encode for the store."""
    return msgspec.json.encode(snapshot).decode()


def encode_lane(lane: LaneSnapshot) -> str:
    """Encode a lane for the store."""
    return msgspec.json.encode(lane).decode()


def decode_lane(text: str) -> LaneSnapshot | None:
    """Decode a lane that another process wrote, perhaps of another version; None if it does not fit."""
    try:
        return msgspec.json.decode(text, type=LaneSnapshot)
    except msgspec.MsgspecError:
        return None


def is_same(one: LaneSnapshot | None, other: LaneSnapshot) -> bool:
    """Return whether both show the same. The same end of a cool-down differs by microseconds."""
    if one is None or one.cooling_until is None or other.cooling_until is None:
        return one == other
    apart = abs(one.cooling_until - other.cooling_until)
    return apart < _SAME_US and replace(one, cooling_until=other.cooling_until) == other


def decode(text: str) -> Snapshot | None:
    """Decode what another process wrote, perhaps of another version; None if it does not fit."""
    try:
        return msgspec.json.decode(text, type=Snapshot)
    except msgspec.MsgspecError:
        return None
