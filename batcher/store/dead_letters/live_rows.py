"""The leaders among the live rows of large jobs, by fingerprint.

The store has no index of them, which would slow down every claim. A command that puts dead letters back in many
transactions scans the job once, part by part, and keeps them in a temporary table of the connection.
"""

from collections.abc import Collection

from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Table, and_, select
from sqlalchemy.schema import CreateTable

from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.states import RequestState
from batcher.store.dialect import as_json_array, id_list, insert_new, literal
from batcher.store.jobs.id_range import within
from batcher.store.schema import jobs, requests

_noted = Table(
    "live_leaders",
    MetaData(),
    Column("job_id", Integer, primary_key=True),
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("id", Integer, primary_key=True),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
)
_LIVE = tuple(literal(state.value) for state in (RequestState.PENDING, RequestState.CLAIMED))
_leads = and_(requests.c.state.in_(_LIVE), requests.c.leader_id.is_(None), requests.c.fingerprint.is_not(None))
_columns = ["job_id", "fingerprint", "id"]
_row = select(requests.c.job_id, requests.c.fingerprint, requests.c.id).where(_leads)


def forget(connection: Connection) -> None:
    """Forget what was noted, also by an earlier command."""
    connection.execute(CreateTable(_noted, if_not_exists=True))
    connection.execute(_noted.delete())


def note(connection: Connection, part: Job) -> None:
    """Note the leaders of this part of a job (see `id_range.parts`)."""
    _note(connection, within(part))


def _note(connection: Connection, these: object) -> None:
    rows = _row.where(these)  # type: ignore[arg-type]  # a condition
    connection.execute(insert_new(_noted).from_select(_columns, rows))


def leaders(
    connection: Connection, job_id: JobId, ids: Collection[RequestId], *, is_noted: bool
) -> list[RequestId]:
    """Return the job's rows that lead now and have the body of one of these."""
    values = {"ids": as_json_array(ids)}
    bodies = select(requests.c.fingerprint).where(requests.c.id.in_(id_list("ids"))).correlate(None)
    if is_noted:
        candidates = select(_noted.c.id).where(_noted.c.job_id == job_id, _noted.c.fingerprint.in_(bodies))
        query = select(requests.c.id).where(requests.c.id.in_(candidates), _leads)
    else:
        first, last = connection.execute(
            select(jobs.c.first_request, jobs.c.last_request).where(jobs.c.id == job_id)
        ).one()
        in_job = and_(requests.c.id.between(first, last), requests.c.job_id + literal(0) == job_id)
        query = select(requests.c.id).where(in_job, _leads, requests.c.fingerprint.in_(bodies))
    # Locked, where transactions run beside one another: a leader must not end before its new follower is attached.
    locked = query.with_for_update(read=True)
    return [RequestId(row) for row in connection.execute(locked, values).scalars()]


def note_some(connection: Connection, ids: Collection[RequestId]) -> None:
    """Note those of these rows that lead now."""
    rows = _row.where(requests.c.id.in_(id_list("ids")))
    statement = insert_new(_noted).from_select(_columns, rows)
    connection.execute(statement, {"ids": as_json_array(ids)})
