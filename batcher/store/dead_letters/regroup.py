"""Puts dead letters back to pending, grouped with the live rows of the same body: one leads, the others follow."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, case, exists, func, null, or_, select, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.dead_letters import live_rows
from batcher.store.dead_letters.filters import DEAD
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.schema import requests, unshared_ends

#: A leader with more followers keeps them. To lead them by an earlier row would change them all.
MOST_REGROUPED = 20

_PENDING = literal(RequestState.PENDING.value)
_chosen = requests.c.id.in_(id_list("ids"))


def retry(
    connection: Connection, ids: Sequence[RequestId], *, noted: Collection[JobId] = ()
) -> tuple[int, list[JobId]]:
    """Put dead letters back to pending, with their history; return how many, and the jobs they belong to.

    Of those with the same body one leads: the one already in flight, else the first. Those whose followers have
    not all ended stay as they are. `noted` are the jobs whose leaders were noted (see `live_rows`).
    """
    values = {"ids": as_json_array(ids)}
    put_back = (
        update(requests)
        .where(_chosen, requests.c.state == DEAD, ~exists().where(unshared_ends.c.leader_id == requests.c.id))
        .values(
            state=RequestState.PENDING.value,
            returned=1,
            sends_before=requests.c.sends,
            spent=0,
            lost=0,
            timeouts=0,
            available_at=null(),
            leader_id=null(),
            failure_kind=null(),
            failure_code=null(),
            settled_at=null(),
        )
        .returning(requests.c.id, requests.c.job_id)
    )
    by_job: dict[JobId, list[RequestId]] = {}
    for row in connection.execute(put_back, values):
        by_job.setdefault(JobId(row.job_id), []).append(RequestId(row.id))
    changes = CountChanges()
    for job_id, rows in by_job.items():
        changes.move_rows(job_id, len(rows), RequestState.DEAD_LETTERED, RequestState.PENDING)
    changes.write(connection)
    for job_id, rows in sorted(by_job.items()):
        _regroup(connection, job_id, rows, is_noted=job_id in noted)
        if job_id in noted:
            live_rows.note_some(connection, rows)
    return sum(map(len, by_job.values())), sorted(by_job)


def _regroup(connection: Connection, job_id: JobId, rows: Sequence[RequestId], *, is_noted: bool) -> None:
    """Regroup the job's live rows that have the body of one of these: one leads, all the others follow it.

    Rows that led or followed until now are regrouped, too: a row that followed a follower would never get an
    answer.
    """
    leaders = live_rows.leaders(connection, job_id, rows, is_noted=is_noted)
    kept = _with_many_followers(connection, leaders)
    followers = _followers(connection, [each for each in leaders if each not in kept])
    values = {"ids": as_json_array({*rows, *leaders, *followers}), "kept": as_json_array(kept)}
    # A claimed row is in flight, so it leads before any that waits.
    order = (requests.c.state == _PENDING, requests.c.id.not_in(id_list("kept")), requests.c.id)
    leader = func.first_value(requests.c.id).over(partition_by=requests.c.fingerprint, order_by=order)
    has_body = requests.c.fingerprint.is_not(None)
    ranked = select(requests.c.id, leader.label("leader")).where(_chosen, has_body).subquery()
    leads = ranked.c.leader == requests.c.id
    changed = or_(
        and_(leads, requests.c.leader_id.is_not(None)),
        and_(~leads, requests.c.leader_id.is_distinct_from(ranked.c.leader)),
    )
    connection.execute(
        update(requests)
        .where(requests.c.id == ranked.c.id, requests.c.state == _PENDING, requests.c.id.not_in(id_list("kept")))
        .where(changed)
        .values(
            leader_id=case((leads, null()), else_=ranked.c.leader),
            returned=1,
            available_at=case((leads, requests.c.available_at), else_=null()),
        ),
        values,
    )


def _with_many_followers(connection: Connection, leaders: Collection[RequestId]) -> set[RequestId]:
    follower = requests.alias("follower")
    one_more = (
        select(follower.c.id)
        .where(follower.c.leader_id == requests.c.id, follower.c.state == _PENDING)
        .limit(1)
        .offset(MOST_REGROUPED)
        .scalar_subquery()
    )
    query = select(requests.c.id).where(_chosen, one_more.is_not(None))
    return {RequestId(row) for row in connection.execute(query, {"ids": as_json_array(leaders)}).scalars()}


def _followers(connection: Connection, leaders: Collection[RequestId]) -> list[RequestId]:
    query = select(requests.c.id).where(requests.c.leader_id.in_(id_list("ids")), requests.c.state == _PENDING)
    return [RequestId(row) for row in connection.execute(query, {"ids": as_json_array(leaders)}).scalars()]
