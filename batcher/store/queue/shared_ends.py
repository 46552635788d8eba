"""Ends, chunk by chunk, the followers of leaders that had too many for the transaction in which the leader ended.

The leader's transaction notes it. If a runner is killed between two chunks, the next one continues. Followers are
never claimed, so none of them is sent meanwhile.
"""

from sqlalchemy import Connection, bindparam, delete, select

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import Compiled
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import single_flight
from batcher.store.schema import requests, unshared_ends

#: Leaders of one transaction.
_LEADERS = 100

_next_leaders = Compiled(
    select(requests.c.id, requests.c.state, requests.c.settled_at)
    .join(unshared_ends, unshared_ends.c.leader_id == requests.c.id)
    # By the key of the notes, of which there are few: by `requests.id`, SQLite would walk all requests.
    .order_by(unshared_ends.c.leader_id)
    .limit(_LEADERS)
    .with_for_update(read=True, of=requests)
)
_forget = Compiled(delete(unshared_ends).where(unshared_ends.c.leader_id == bindparam("leader")), "leader")


def share_some(connection: Connection) -> tuple[list[RequestsSettled], bool]:
    """End the next followers; return what was settled by it, and whether more are left."""
    ended: dict[tuple[JobId, bool], list[RequestId]] = {}
    room, changes = single_flight.MOST_AT_ONCE, CountChanges()
    leaders = _next_leaders.rows(connection)
    for leader in leaders:
        is_completed = leader.state == RequestState.COMPLETED.value
        if leader.settled_at is None:
            # It was put back meanwhile, and leads those that are left.
            _forget.run(connection, leader.id)
            continue
        # A dead letter that was discarded keeps its cause.
        share = single_flight.complete if is_completed else single_flight.dead_letter
        shared = share(connection, [leader.id], changes, now=leader.settled_at, most=room)
        for follower in shared.followers:
            ended.setdefault((follower.job_id, is_completed), []).append(follower.id)
        if shared.is_partial:
            break
        _forget.run(connection, leader.id)
        room -= len(shared.followers)
        if room <= 0:
            break
    changes.write(connection)
    settled = [
        RequestsSettled(job_id=job_id, completed=ids, cached=len(ids))
        if is_completed
        else RequestsSettled(job_id=job_id, dead_lettered=ids)
        for (job_id, is_completed), ids in ended.items()
    ]
    return settled, _next_leaders.scalar(connection) is not None
