"""Lanes: what outlives a run of what was learned about a provider's limits."""

from typing import TypeVar

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from batcher.domain.ids import LaneId
from batcher.domain.lanes import Charging, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.store.tables import lanes

_Known = TypeVar("_Known", KnownLimits, Charging)


def open_lane(connection: Connection, key: LaneKey, *, now: int) -> StoredLane:
    """The lane, made where it is new."""
    values = {
        "endpoint_id": key.endpoint_id,
        "key_name": key.key_name,
        "model": key.model,
        "updated_at": now,
    }
    connection.execute(sqlite_insert(lanes).values(values).on_conflict_do_nothing())
    columns = (lanes.c.id, lanes.c.limits, lanes.c.charge, lanes.c.level, lanes.c.cooling_until)
    query = select(*columns).where(
        lanes.c.endpoint_id == key.endpoint_id, lanes.c.key_name == key.key_name, lanes.c.model == key.model
    )
    row = connection.execute(query).one()
    memory = LaneMemory(
        limits=_decoded(row.limits, KnownLimits), charging=_decoded(row.charge, Charging), level=row.level
    )
    return StoredLane(id=LaneId(row.id), key=key, memory=memory, cooling_until=row.cooling_until)


def save(connection: Connection, lane: StoredLane, *, now: int) -> None:
    """Keep what a restart must know: it draws no second budget and ends no cool-down early."""
    connection.execute(
        update(lanes)
        .where(lanes.c.id == lane.id)
        .values(
            limits=msgspec.json.encode(lane.memory.limits).decode(),
            charge=msgspec.json.encode(lane.memory.charging).decode(),
            level=lane.memory.level,
            cooling_until=lane.cooling_until,
            updated_at=now,
        )
    )


def _decoded(text: str | None, kind: type[_Known]) -> _Known:
    """What a column holds; nothing is known where it is empty, or where a version with other words wrote it."""
    try:
        return kind() if text is None else msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return kind()


def of_endpoint(connection: Connection, endpoint_id: int, key_name: str) -> list[tuple[LaneId, str]]:
    """The lanes of a key at an endpoint: (id, model)."""
    query = select(lanes.c.id, lanes.c.model).where(
        lanes.c.endpoint_id == endpoint_id, lanes.c.key_name == key_name
    )
    return [(LaneId(row[0]), row[1]) for row in connection.execute(query)]
