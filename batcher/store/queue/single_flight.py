"""Single-flight: rows that follow a leader share its end in its transaction, and are never sent."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, exists, null, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import Compiled, as_json_array, id_list, literal
from batcher.store.schema import requests


class Follower(NamedTuple):
    """A row that shares its leader's end."""

    id: RequestId
    job_id: JobId


_leader = requests.alias("leader")
_share_end = (
    update(requests)
    .where(
        _leader.c.id.in_(id_list("leaders")),
        requests.c.leader_id == _leader.c.id,
        requests.c.state == literal(RequestState.PENDING.value),
    )
    .values(available_at=null(), settled_at=bindparam("now"))
    .returning(requests.c.id, requests.c.job_id)
)
_complete = Compiled(
    _share_end.values(
        state=literal(RequestState.COMPLETED.value),
        response_id=_leader.c.response_id,
        cached=literal(1),
        marks=_leader.c.marks,
    ),
    "now",
    "leaders",
)
_dead_letter = Compiled(
    _share_end.values(
        state=literal(RequestState.DEAD_LETTERED.value),
        failure_kind=_leader.c.failure_kind,
        failure_code=_leader.c.failure_code,
    ),
    "now",
    "leaders",
)


def have_followers(leaders: str) -> ColumnElement[bool]:
    """Return whether anything follows one of the leaders, which the named parameter lists."""
    return exists().where(
        requests.c.leader_id.in_(id_list(leaders)), requests.c.state == literal(RequestState.PENDING.value)
    )


def complete(connection: Connection, leaders: Iterable[RequestId], *, now: int) -> list[Follower]:
    """Complete the followers of these leaders with their answers; return them in file order."""
    return _settled(connection, _complete, leaders, now)


def dead_letter(connection: Connection, leaders: Iterable[RequestId], *, now: int) -> list[Follower]:
    """Dead-letter the followers of these leaders with their cause; return them in file order."""
    return _settled(connection, _dead_letter, leaders, now)


def _settled(
    connection: Connection, statement: Compiled, leaders: Iterable[RequestId], now: int
) -> list[Follower]:
    return sorted(Follower(*row) for row in statement.rows(connection, now, as_json_array(leaders)))
