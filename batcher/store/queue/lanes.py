"""Lanes: what was learned about a provider's limits and outlives a run."""

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row, Select, and_, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.lanes import Charging, DayUse, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.store.jobs.id_range import of_job
from batcher.store.schema import cache, jobs, lanes, requests, responses

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


#: How many rows of a job are checked: they are sent in file order, so answers are among the first.
_LOOKED_AT = 10_000


def _has_answered(connection: Connection, endpoint_id: EndpointId) -> bool:
    """Return whether an answer of the endpoint is stored.

    There is no index by endpoint, so cache and jobs are asked.
    """
    if connection.execute(select(cache.c.response_id).where(cache.c.endpoint_id == endpoint_id).limit(1)).first():
        return True
    first_rows = requests.c.id.between(jobs.c.first_request, jobs.c.first_request + _LOOKED_AT)
    query = (
        select(responses.c.id)
        .select_from(jobs)
        .join(requests, and_(first_rows, requests.c.id <= jobs.c.last_request))
        .join(responses, responses.c.id == requests.c.response_id)
        .where(
            jobs.c.endpoint_id == endpoint_id,
            of_job(requests.c.job_id) == jobs.c.id,
            responses.c.endpoint_id == endpoint_id,
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None


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
