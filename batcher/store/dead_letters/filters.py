"""Selects the dead letters that a command means, by filters or by number."""

from typing import Any

from sqlalchemy import Connection, Select, func, select

from batcher.domain.ids import JobId, RequestId
from batcher.domain.requests import Filters
from batcher.domain.states import RequestState
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.reports.attempt_columns import with_last_attempt
from batcher.store.schema import attempts, requests

DEAD = literal(RequestState.DEAD_LETTERED.value)


def narrowed(query: Select[Any], filters: Filters) -> Select[Any]:
    """Restrict a query of requests to those dead letters. Joins the last attempt if a status is asked for."""
    query = query.where(requests.c.state == DEAD)
    return matching(query if filters.status is None else with_last_attempt(query), filters)


def matching(query: Select[Any], filters: Filters) -> Select[Any]:
    """Restrict a query of requests of any state. With a status, the query must have joined the last attempt."""
    if filters.job is not None:
        query = query.where(requests.c.job_id == filters.job)
    if filters.kind is not None:
        query = query.where(requests.c.failure_kind == filters.kind)
    if filters.code is not None:
        query = query.where(requests.c.failure_code == filters.code)
    if filters.status is not None:
        query = query.where(attempts.c.status == filters.status)
    if filters.requests:
        query = query.where(requests.c.id.in_(id_list("ids"))).params(ids=as_json_array(filters.requests))
    return query


def ids(connection: Connection, filters: Filters) -> list[RequestId]:
    """Return the matching dead letters in file order, job by job."""
    query = narrowed(select(requests.c.id), filters).order_by(requests.c.job_id, requests.c.id)
    return list(connection.execute(query).scalars())


def by_job(connection: Connection, filters: Filters) -> dict[JobId, int]:
    """Return how many of them each job has."""
    query = narrowed(select(requests.c.job_id, func.count()), filters)
    rows = connection.execute(query.group_by(requests.c.job_id).order_by(requests.c.job_id))
    return {JobId(row[0]): row[1] for row in rows}


def smallest(connection: Connection, filters: Filters) -> RequestId | None:
    """Return the one with the smallest body; of several, the first."""
    query = narrowed(select(requests.c.id), filters).order_by(requests.c.size, requests.c.id).limit(1)
    return connection.execute(query).scalar()
