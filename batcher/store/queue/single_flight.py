"""Single-flight: rows that follow a leader share its end in its transaction, and are never sent."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, exists, null, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import Hot, as_list, listed, word
from batcher.store.schema import requests


class Follower(NamedTuple):
    """A row that shares its leader's end."""

    id: RequestId
    job_id: JobId


_leader = requests.alias("leader")
_share_end = (
    update(requests)
    .where(
        _leader.c.id.in_(listed("leaders")),
        requests.c.leader_id == _leader.c.id,
        requests.c.state == word(RequestState.PENDING.value),
    )
    .values(available_at=null(), settled_at=bindparam("now"))
    .returning(requests.c.id, requests.c.job_id)
)
_complete = Hot(
    _share_end.values(state=word(RequestState.COMPLETED.value), response_id=_leader.c.response_id, cached=word(1)),
    "now",
    "leaders",
)
_bury = Hot(
    _share_end.values(
        state=word(RequestState.DEAD_LETTERED.value),
        failure_kind=_leader.c.failure_kind,
        failure_code=_leader.c.failure_code,
    ),
    "now",
    "leaders",
)


def any_of(leaders: str) -> ColumnElement[bool]:
    """Return whether anything follows one of the leaders, which the named parameter lists."""
    return exists().where(
        requests.c.leader_id.in_(listed(leaders)), requests.c.state == word(RequestState.PENDING.value)
    )


def complete(connection: Connection, leaders: Iterable[RequestId], *, now: int) -> list[Follower]:
    """Complete the followers of these leaders with their answers; return them in file order."""
    return _settled(connection, _complete, leaders, now)


def bury(connection: Connection, leaders: Iterable[RequestId], *, now: int) -> list[Follower]:
    """Dead-letter the followers of these leaders with their cause; return them in file order."""
    return _settled(connection, _bury, leaders, now)


def _settled(connection: Connection, statement: Hot, leaders: Iterable[RequestId], now: int) -> list[Follower]:
    return sorted(Follower(*row) for row in statement.rows(connection, now, as_list(leaders)))
