"""Lanes: what was learned about a provider's limits and outlives a run."""

from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, update

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.lanes import Charging, DayUse, HourUse, KnownLimits, LaneKey, LaneMemory, StoredLane
from batcher.policy.rate.daily_quota import HOUR_US, shifted, with_use
from batcher.store.dialect import insert_new
from batcher.store.schema import endpoints, jobs, lanes, requests, routes

_Known = TypeVar("_Known", KnownLimits, Charging, DayUse)


def open_lane(connection: Connection, key: LaneKey, *, now: int) -> StoredLane:
    """Return the lane; create it if it is new."""
    values = {
        "endpoint_id": key.endpoint_id,
        "key_name": key.key_name,
        "model": key.model,
        "tier": key.tier,
        "updated_at": now,
    }
    connection.execute(insert_new(lanes).values(values))
    query = _of_key(key.endpoint_id, key.key_name).where(_is(key))
    lane = _stored(connection.execute(query).one(), key.endpoint_id, key.key_name)
    return replace(lane, endpoint_answered=_has_answered(connection, key.endpoint_id))


def of_endpoint(connection: Connection, endpoint_id: EndpointId, key_name: str) -> list[StoredLane]:
    """Return the lanes of a key at an endpoint, without checking whether the endpoint has ever answered."""
    return [_stored(row, endpoint_id, key_name) for row in connection.execute(_of_key(endpoint_id, key_name))]


def _of_key(endpoint_id: EndpointId, key_name: str) -> Select[Any]:
    columns = (
        lanes.c.id,
        lanes.c.model,
        lanes.c.tier,
        lanes.c.limits,
        lanes.c.charge,
        lanes.c.day,
        lanes.c.level,
        lanes.c.cooling_until,
    )
    return select(*columns).where(lanes.c.endpoint_id == endpoint_id, lanes.c.key_name == key_name)


def _is(key: LaneKey) -> ColumnElement[bool]:
    return and_(
        lanes.c.endpoint_id == key.endpoint_id,
        lanes.c.key_name == key.key_name,
        lanes.c.model == key.model,
        lanes.c.tier == key.tier,
    )


def _stored(row: Row[Any], endpoint_id: EndpointId, key_name: str) -> StoredLane:
    memory = LaneMemory(
        limits=_decoded(row.limits, KnownLimits),
        charging=_decoded(row.charge, Charging),
        day=_decoded(row.day, DayUse),
        level=row.level,
    )
    key = LaneKey(endpoint_id=endpoint_id, key_name=key_name, model=row.model, tier=row.tier)
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


def add_lost_use(connection: Connection, held: ColumnElement[bool], *, now: int) -> None:
    """Count requests whose runner died for the limits per day: the provider may have counted them.

    They count on the lane of the default tier (see `domain.jobs.lane_key`).
    """
    lost = (
        select(
            jobs.c.endpoint_id,
            jobs.c.key_name,
            routes.c.model,
            func.count(),
            func.sum(requests.c.est_input + requests.c.est_output),
        )
        .select_from(requests)
        .join(routes, routes.c.id == requests.c.route_id)
        .join(jobs, jobs.c.id == requests.c.job_id)
        .where(held)
        .group_by(jobs.c.endpoint_id, jobs.c.key_name, routes.c.model)
    )
    for endpoint_id, key_name, model, count, tokens in connection.execute(lost).all():
        of_lane = _is(LaneKey(endpoint_id=endpoint_id, key_name=key_name, model=model))
        stored = connection.execute(select(lanes.c.day).where(of_lane)).first()
        if stored is not None:
            use = with_use(_decoded(stored.day, DayUse), HourUse(now // HOUR_US, count, tokens))
            connection.execute(update(lanes).where(of_lane).values(day=msgspec.json.encode(use).decode()))


def shift_days(connection: Connection, ahead: int, *, now: int) -> None:
    """Shift what is kept of limits per day, if the clock by which it was kept was `ahead` microseconds ahead."""
    for row in connection.execute(select(lanes.c.id, lanes.c.day, lanes.c.limits)).all():
        use, limits = _decoded(row.day, DayUse), _decoded(row.limits, KnownLimits)
        values = {"day": msgspec.json.encode(shifted(use, -ahead, now // HOUR_US)).decode()}
        if limits.day_until is not None and 1_000_000 * limits.day_until > min(now, now + ahead):
            limits = replace(limits, day_until=limits.day_until - ahead // 1_000_000)
            values["limits"] = msgspec.json.encode(limits).decode()
        connection.execute(update(lanes).where(lanes.c.id == row.id).values(values))


def _decoded(text: str | None, kind: type[_Known]) -> _Known:
    """Decode a column; return the default if it is empty, or written by a version with another format."""
    try:
        return kind() if text is None else msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return kind()
