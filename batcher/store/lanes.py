"""Lanes: what outlives a run of what was learned about a provider's limits."""

import msgspec
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from batcher.domain.ids import LaneId
from batcher.domain.lanes import LaneKey, StoredLane
from batcher.domain.settings import Limits
from batcher.store.tables import lanes


def open_lane(connection: Connection, key: LaneKey, *, now: int) -> StoredLane:
    """The lane, made where it is new."""
    values = {
        "endpoint_id": key.endpoint_id,
        "key_name": key.key_name,
        "model": key.model,
        "updated_at": now,
    }
    connection.execute(sqlite_insert(lanes).values(values).on_conflict_do_nothing())
    query = select(lanes.c.id, lanes.c.limits, lanes.c.level, lanes.c.cooling_until).where(
        lanes.c.endpoint_id == key.endpoint_id, lanes.c.key_name == key.key_name, lanes.c.model == key.model
    )
    row = connection.execute(query).one()
    limits = Limits() if row.limits is None else msgspec.json.decode(row.limits, type=Limits)
    return StoredLane(id=LaneId(row.id), key=key, limits=limits, level=row.level, cooling_until=row.cooling_until)


def save(connection: Connection, lane: StoredLane, *, now: int) -> None:
    """Keep what a restart must know: it draws no second budget and ends no cool-down early."""
    connection.execute(
        update(lanes)
        .where(lanes.c.id == lane.id)
        .values(
            limits=msgspec.json.encode(lane.limits).decode(),
            level=lane.level,
            cooling_until=lane.cooling_until,
            updated_at=now,
        )
    )


def of_endpoint(connection: Connection, endpoint_id: int, key_name: str) -> list[tuple[LaneId, str]]:
    """The lanes of a key at an endpoint: (id, model)."""
    query = select(lanes.c.id, lanes.c.model).where(
        lanes.c.endpoint_id == endpoint_id, lanes.c.key_name == key_name
    )
    return [(LaneId(row[0]), row[1]) for row in connection.execute(query)]
