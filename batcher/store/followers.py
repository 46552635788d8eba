"""Rows that wait for another's answer: they share its end, in its transaction, and are never sent."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, null, select, update

from batcher.domain.ids import RequestId
from batcher.domain.states import RequestState
from batcher.store.hot import Hot, as_list, listed, word
from batcher.store.tables import requests

_select = Hot(
    select(requests.c.id, requests.c.leader_id, requests.c.job_id)
    .where(requests.c.leader_id.in_(listed("ids")), requests.c.state == word(RequestState.PENDING.value))
    .order_by(requests.c.id),
    "ids",
)
#: Followers as they are returned: (id, leader_id, job_id).
Followers = Sequence[Any]

_pending = (requests.c.id == bindparam("id_"), requests.c.state == word(RequestState.PENDING.value))
#: Completes a pending row with an answer that another was sent for.
complete_cached = Hot(
    update(requests)
    .where(*_pending)
    .values(
        state=word(RequestState.COMPLETED.value),
        response_id=bindparam("response"),
        cached=word(1),
        available_at=null(),
        settled_at=bindparam("now"),
    ),
    "response",
    "now",
    "id_",
)
_bury = Hot(
    update(requests)
    .where(*_pending)
    .values(
        state=word(RequestState.DEAD_LETTERED.value),
        failure_kind=bindparam("kind"),
        failure_code=bindparam("code"),
        available_at=null(),
        settled_at=bindparam("now"),
    ),
    "kind",
    "code",
    "now",
    "id_",
)


def complete(connection: Connection, answers: Mapping[RequestId, int], *, now: int) -> Followers:
    """Followers of these leaders share their answers, given as leader → response; returns them."""
    found = _select.rows(connection, as_list(answers))
    complete_cached.many(connection, [(answers[row.leader_id], now, row.id) for row in found])
    return found


def bury(connection: Connection, causes: Mapping[RequestId, tuple[str, str]], *, now: int) -> Followers:
    """Followers of these leaders die of the same, given as leader → (kind, code); returns them."""
    found = _select.rows(connection, as_list(causes))
    _bury.many(connection, [(*causes[row.leader_id], now, row.id) for row in found])
    return found
