"""Pauses: an endpoint, key, lane, route or job that waits for a person; and what earlier runs left of a route."""

from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from batcher.domain.ids import EndpointId, JobId, LaneId, RouteId
from batcher.domain.jobs import Pause, key_ref
from batcher.domain.messages import decode, encode, pack, unpack
from batcher.domain.outcomes import PauseCause
from batcher.domain.states import PauseScope
from batcher.store.dialect import insert_new
from batcher.store.schema import pauses


def begin(connection: Connection, cause: PauseCause, ref: str, *, now: int) -> None:
    """Record the pause; if one is already in force, its text is kept."""
    values = {
        "scope": cause.scope.value,
        "ref": ref,
        "reason": cause.reason.value,
        "message": pack(cause.message),
        "fix": encode(cause.fix),
        "since": now,
        "failure": cause.failure,
    }
    connection.execute(insert_new(pauses).values(values))


def in_force(connection: Connection) -> list[Pause]:
    """Return every pause that has not ended, oldest first."""
    query = (
        select(pauses.c.scope, pauses.c.ref, pauses.c.reason, pauses.c.message, pauses.c.fix, pauses.c.since)
        .where(pauses.c.ended_at.is_(None))
        .order_by(pauses.c.id)
    )
    return [
        Pause(
            scope=PauseScope(row.scope),
            ref=row.ref,
            reason=row.reason,
            message=unpack(row.message),
            fix=decode(row.fix),
            since=row.since,
        )
        for row in connection.execute(query)
    ]


def end_for(
    connection: Connection,
    *,
    endpoint_id: EndpointId,
    key_name: str,
    lane_ids: Iterable[LaneId],
    route_ids: Iterable[RouteId],
    job_id: JobId,
    now: int,
) -> int:
    """End every pause that the job waits for, because a person resumes it. Returns how many ended."""
    ended = 0
    named = [
        (PauseScope.ENDPOINT, str(endpoint_id)),
        (PauseScope.KEY, key_ref(endpoint_id, key_name)),
        (PauseScope.JOB, str(job_id)),
        *((PauseScope.LANE, str(lane_id)) for lane_id in lane_ids),
        *((PauseScope.ROUTE, str(route_id)) for route_id in route_ids),
    ]
    for scope, ref in named:
        statement = update(pauses).where(
            pauses.c.scope == scope.value, pauses.c.ref == ref, pauses.c.ended_at.is_(None)
        )
        ended += connection.execute(statement.values(ended_at=now)).rowcount
    return ended
