"""Single-flight: rows that follow a leader share its end in its transaction, and are never sent.

If there are too many for one transaction, the rest is noted in it and ends in later ones (`shared_ends`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, exists, null, select, update

from batcher.domain.ids import JobId, RequestId
from batcher.domain.states import RequestState
from batcher.store.compiled import Compiled
from batcher.store.dialect import as_json_array, id_list, insert_new, literal
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.schema import requests, unshared_ends


class Follower(NamedTuple):
    """A row that shares its leader's end."""

    id: RequestId
    job_id: JobId
    #: Those of the answer that it shares.
    marks: int


#: Followers that end in one transaction at most: a million of them would hold up everyone else for seconds.
MOST_AT_ONCE = 5_000

_leader = requests.alias("leader")
_follower = requests.alias("follower")
_some = (
    select(_follower.c.id)
    .where(
        _follower.c.leader_id.in_(id_list("leaders")),
        _follower.c.state == literal(RequestState.PENDING.value),
    )
    .limit(bindparam("most"))
)
_share_end = (
    update(requests)
    .where(requests.c.id.in_(_some), _leader.c.id == requests.c.leader_id)
    .values(available_at=null(), settled_at=bindparam("now"))
    .returning(requests.c.id, requests.c.job_id, requests.c.marks)
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
    "most",
)
_dead_letter = Compiled(
    _share_end.values(
        state=literal(RequestState.DEAD_LETTERED.value),
        failure_kind=_leader.c.failure_kind,
        failure_code=_leader.c.failure_code,
    ),
    "now",
    "leaders",
    "most",
)
_with_rest = select(_leader.c.id).where(
    _leader.c.id.in_(id_list("leaders")),
    exists().where(
        _follower.c.leader_id == _leader.c.id, _follower.c.state == literal(RequestState.PENDING.value)
    ),
)
_note_rest = Compiled(insert_new(unshared_ends).from_select(["leader_id"], _with_rest), "leaders")
_select_rest = Compiled(_with_rest.limit(literal(1)), "leaders")


_select_any = Compiled(
    select(requests.c.id)
    .where(requests.c.leader_id.in_(id_list("leaders")), requests.c.state == literal(RequestState.PENDING.value))
    .limit(literal(1)),
    "leaders",
)


def have_followers(connection: Connection, leaders: Iterable[RequestId]) -> bool:
    """Return whether anything follows one of the leaders. Asked once they have ended: none is attached later."""
    return _select_any.scalar(connection, as_json_array(leaders)) is not None


class Shared(NamedTuple):
    """The followers that ended, in file order, and whether others are left (see `shared_ends`)."""

    followers: list[Follower]
    is_partial: bool


def complete(
    connection: Connection,
    leaders: Iterable[RequestId],
    changes: CountChanges,
    *,
    now: int,
    most: int | None = None,
) -> Shared:
    """Complete the followers of these leaders with their answers, at most `most` (None: as many as fit)."""
    shared = _settled(connection, _complete, leaders, now, most or MOST_AT_ONCE)
    changes.share_answers((each.job_id, each.marks) for each in shared.followers)
    return shared


def dead_letter(
    connection: Connection,
    leaders: Iterable[RequestId],
    changes: CountChanges,
    *,
    now: int,
    most: int | None = None,
) -> Shared:
    """Dead-letter the followers of these leaders with their cause, at most `most` (None: as many as fit)."""
    shared = _settled(connection, _dead_letter, leaders, now, most or MOST_AT_ONCE)
    of_jobs = (each.job_id for each in shared.followers)
    changes.move(of_jobs, RequestState.PENDING, RequestState.DEAD_LETTERED)
    return shared


def _settled(
    connection: Connection, statement: Compiled, leaders: Iterable[RequestId], now: int, most: int
) -> Shared:
    named = as_json_array(leaders)
    ended = sorted(Follower(*row) for row in statement.rows(connection, now, named, most))
    is_partial = len(ended) >= most and _select_rest.scalar(connection, named) is not None
    if is_partial:
        _note_rest.run(connection, named)
    return Shared(followers=ended, is_partial=is_partial)
