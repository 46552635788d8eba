"""Removes requests with everything that belongs to them alone."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, or_, select, update

from batcher.domain.ids import JobId
from batcher.store.compiled import Compiled
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs import kept_counts, recount
from batcher.store.schema import (
    attempts,
    bodies,
    cache,
    cache_scope,
    endpoints,
    former_bodies,
    requests,
    responses,
    unshared_ends,
)

_doomed: Final = id_list("ids")
_answers_of: Final = Compiled(
    select(responses.c.id, cache_scope.label("scope"), requests.c.fingerprint)
    .join_from(requests, responses, responses.c.id == requests.c.response_id)
    .join(endpoints, endpoints.c.id == responses.c.endpoint_id)
    .where(requests.c.id.in_(_doomed)),
    "ids",
)
_note_origin: Final = Compiled(
    update(responses)
    .where(
        responses.c.id.in_(select(requests.c.response_id).where(requests.c.id.in_(_doomed))),
        responses.c.request_id.in_(_doomed),
    )
    .values(
        origin_job=bindparam("job"),
        origin_custom_id=select(requests.c.custom_id)
        .where(requests.c.id == responses.c.request_id)
        .scalar_subquery(),
    ),
    "job",
    "ids",
)
# An answer is used by the request that was sent for it, and by those that share it, which an index knows.
_still_used: Final = Compiled(
    select(responses.c.id).where(
        responses.c.id.in_(id_list("answers")),
        or_(
            exists().where(requests.c.cached == literal(1), requests.c.response_id == responses.c.id),
            exists().where(requests.c.id == responses.c.request_id, requests.c.response_id == responses.c.id),
        ),
    ),
    "answers",
)
# One by one: with a subquery, SQLite scans everything that the endpoint has in the cache.
_forget: Final = Compiled(
    delete(cache).where(
        cache.c.cache_scope == bindparam("scope"),
        cache.c.fingerprint == bindparam("fingerprint"),
        cache.c.response_id == bindparam("answer"),
    ),
    "scope",
    "fingerprint",
    "answer",
)
_delete_answers: Final = Compiled(delete(responses).where(responses.c.id.in_(id_list("answers"))), "answers")
_delete_bodies: Final = Compiled(delete(bodies).where(bodies.c.request_id.in_(_doomed)), "ids")
_delete_former: Final = Compiled(delete(former_bodies).where(former_bodies.c.request_id.in_(_doomed)), "ids")
_delete_attempts: Final = Compiled(delete(attempts).where(attempts.c.request_id.in_(_doomed)), "ids")
_delete_ends: Final = Compiled(delete(unshared_ends).where(unshared_ends.c.leader_id.in_(_doomed)), "ids")
_delete_requests: Final = Compiled(delete(requests).where(requests.c.id.in_(_doomed)), "ids")


def remove_requests(connection: Connection, job_id: JobId, found: Iterable[int]) -> None:
    """Remove these requests of a job, their bodies, their attempts, and the answers that no other request uses."""
    ids = as_json_array(found)
    kept_counts.take_away(connection, job_id, recount.of_requests(connection, ids))
    answers = _answers_of.rows(connection, ids)
    _note_origin.run(connection, job_id, ids)
    for statement in (_delete_former, _delete_attempts, _delete_ends):
        statement.run(connection, ids)
    remove_unsent(connection, ids)
    _drop_unused(connection, {(row.scope, row.fingerprint, row.id) for row in answers})


def remove_unsent(connection: Connection, ids: str) -> None:
    """Remove requests that were never sent, with their bodies. `ids`: a JSON list (`as_json_array`)."""
    _delete_bodies.run(connection, ids)
    _delete_requests.run(connection, ids)


def _drop_unused(connection: Connection, answers: set[tuple[int, bytes | None, int]]) -> None:
    """Remove those of the answers that no request uses any more, also from the cache, by their keys there.

    Not only the deleted job's own answers: it may have been the last to share an answer of a job deleted before.
    """
    used = set(_still_used.column(connection, as_json_array({id_ for _, _, id_ in answers})))
    gone = {key for key in answers if key[2] not in used}
    _forget.many(connection, (key for key in gone if key[1] is not None))
    _delete_answers.run(connection, as_json_array({id_ for _, _, id_ in gone}))
