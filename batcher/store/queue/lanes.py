"""Lanes: what was learned about a provider's limits and outlives a run."""

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.lanes import Charging, DayUse, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.store.schema import endpoints, lanes

_Known = TypeVar("_Known", KnownLimits, Charging, DayUse)


def open_lane(connection: Connection, key: LaneKey, *, now: int) -> StoredLane:
    """Return the lane; create it if it is new."""
    values = {
        "endpoint_id": key.endpoint_id,
        "key_name": key.key_name,
        "model": key.model,
        "updated_at": now,
    }
    connection.execute(sqlite_insert(lanes).values(values).on_conflict_do_nothing())
    query = _of_key(key.endpoint_id, key.key_name).where(lanes.c.model == key.model)
    lane = _stored(connection.execute(query).one(), key.endpoint_id, key.key_name)
    return replace(lane, endpoint_answered=_has_answered(connection, key.endpoint_id))


def of_endpoint(connection: Connection, endpoint_id: EndpointId, key_name: str) -> list[StoredLane]:
    """Return the lanes of a key at an endpoint, without checking whether the endpoint has ever answered."""
    return [_stored(row, endpoint_id, key_name) for row in connection.execute(_of_key(endpoint_id, key_name))]


def _of_key(endpoint_id: EndpointId, key_name: str) -> Select[Any]:
    columns = (
        lanes.c.id,
        lanes.c.model,
        lanes.c.limits,
        lanes.c.charge,
        lanes.c.day,
        lanes.c.level,
        lanes.c.cooling_until,
    )
    return select(*columns).where(lanes.c.endpoint_id == endpoint_id, lanes.c.key_name == key_name)


def _stored(row: Row[Any], endpoint_id: EndpointId, key_name: str) -> StoredLane:
    memory = LaneMemory(
        limits=_decoded(row.limits, KnownLimits),
        charging=_decoded(row.charge, Charging),
        day=_decoded(row.day, DayUse),
        level=row.level,
    )
    key = LaneKey(endpoint_id=endpoint_id, key_name=key_name, model=row.model)
    return StoredLane(id=LaneId(row.id), key=key, memory=memory, cooling_until=row.cooling_until)


def _has_answered(connection: Connection, endpoint_id: EndpointId) -> bool:
    """Return whether the endpoint has ever answered."""
    query = select(endpoints.c.answered).where(endpoints.c.id == endpoint_id)
    return bool(connection.execute(query).scalar())


def save(connection: Connection, lane: StoredLane, *, now: int) -> None:
    """Store what a restart must know, so that it does not use a budget twice or end a cool-down early."""
    connection.execute(
        update(lanes)
        .where(lanes.c.id == lane.id)
        .values(
            limits=msgspec.json.encode(lane.memory.limits).decode(),
            charge=msgspec.json.encode(lane.memory.charging).decode(),
            day=msgspec.json.encode(lane.memory.day).decode(),
            level=lane.memory.level,
            cooling_until=lane.cooling_until,
            updated_at=now,
        )
    )


def _decoded(text: str | None, kind: type[_Known]) -> _Known:
    """Decode a column; return the default if it is empty, or written by a version with another format."""
    try:
        return kind() if text is None else msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return kind()
