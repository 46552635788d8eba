"""Reads a job in input order: what result and error lines are made of."""

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from heapq import merge
from typing import Any

from sqlalchemy import Connection, and_, bindparam, func, select

from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.requests import Answered, BadLine, CancelledRow, Dead
from batcher.domain.states import AnswerMark, RequestState
from batcher.store.compiled import Compiled
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs.id_range import of_job
from batcher.store.reports.attempt_columns import seen, with_last_attempt
from batcher.store.schema import attempts, rejected, requests, responses

#: The marks of a number, each made once: that takes a microsecond.
_marks = cache(AnswerMark)
_origin = requests.alias("origin")
_answered = (
    select(
        requests.c.id,
        requests.c.line,
        requests.c.custom_id,
        seen.label("attempts"),
        requests.c.cached,
        requests.c.marks,
        responses.c.status,
        responses.c.provider_request_id,
        responses.c.latency_us,
        responses.c.body,
        responses.c.input_tokens,
        responses.c.output_tokens,
        func.coalesce(_origin.c.job_id, responses.c.origin_job).label("origin_job"),
        func.coalesce(_origin.c.custom_id, responses.c.origin_custom_id).label("origin_custom_id"),
    )
    .join(responses, responses.c.id == requests.c.response_id)
    # Only a row that was not sent itself needs to know which one was.
    .outerjoin(_origin, and_(requests.c.cached == 1, _origin.c.id == responses.c.request_id))
)
_dead = with_last_attempt(
    select(
        requests.c.id,
        requests.c.line,
        requests.c.custom_id,
        seen.label("attempts"),
        requests.c.failure_kind,
        requests.c.failure_code,
        attempts.c.message,
        attempts.c.status,
        attempts.c.provider_request_id,
        (attempts.c.ended_at - attempts.c.sent_at).label("latency_us"),
        attempts.c.reply,
    )
)
_are_completed = requests.c.state == literal(RequestState.COMPLETED.value)
_are_dead = requests.c.state == literal(RequestState.DEAD_LETTERED.value)
#: A dead letter that was discarded is cancelled, too, but keeps its cause: the person wants to hear no more of it.
_are_cancelled = and_(requests.c.state == literal(RequestState.CANCELLED.value), requests.c.failure_code.is_(None))
_within_job = requests.c.id.between(bindparam("first"), bindparam("last"))
_select_answered = Compiled(
    _answered.where(_within_job, of_job(requests.c.job_id) == bindparam("job"), _are_completed).order_by(
        requests.c.id
    ),
    "first",
    "last",
    "job",
)
_select_dead = Compiled(
    _dead.where(_within_job, requests.c.job_id == bindparam("job"), _are_dead).order_by(requests.c.id),
    "first",
    "last",
    "job",
)
_select_cancelled = Compiled(
    select(requests.c.id, requests.c.line, requests.c.custom_id, seen.label("attempts"))
    .where(_within_job, of_job(requests.c.job_id) == bindparam("job"), _are_cancelled)
    .order_by(requests.c.id),
    "first",
    "last",
    "job",
)
_given = requests.c.id.in_(id_list("ids"))
_select_given_answered = Compiled(_answered.where(_given, _are_completed).order_by(requests.c.id), "ids")
_select_given_dead = Compiled(_dead.where(_given, _are_dead).order_by(requests.c.id), "ids")


def _make_answered(row: Any) -> Answered:  # noqa: ANN401 - a row
    origin = (JobId(row.origin_job), row.origin_custom_id) if row.cached else None
    return Answered(
        request_id=RequestId(row.id),
        line=row.line,
        custom_id=row.custom_id,
        attempts=row.attempts,
        cached=bool(row.cached),
        status=row.status,
        provider_request_id=row.provider_request_id,
        latency_us=row.latency_us,
        body=row.body,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        marks=_marks(row.marks),
        answered_by=origin,
    )


def _make_dead(row: Any) -> Dead:  # noqa: ANN401 - a row
    return Dead(
        request_id=RequestId(row.id),
        line=row.line,
        custom_id=row.custom_id,
        attempts=row.attempts,
        kind=row.failure_kind,
        code=row.failure_code,
        message=row.message or "",
        status=row.status,
        provider_request_id=row.provider_request_id,
        latency_us=row.latency_us or 0,
        reply=row.reply,
    )


def answered(connection: Connection, job: Job) -> Iterator[Answered]:
    """Yield the job's answers in input order, read one by one."""
    return map(_make_answered, _select_answered.each(connection, *_bounds(job)))


def dead(connection: Connection, job: Job) -> Iterator[Dead]:
    """Yield the job's dead letters in input order, read one by one."""
    return map(_make_dead, _select_dead.each(connection, *_bounds(job)))


def cancelled(connection: Connection, job: Job) -> Iterator[CancelledRow]:
    """Yield the requests that were cancelled before they were answered, in input order, read one by one."""
    for row in _select_cancelled.each(connection, *_bounds(job)):
        yield CancelledRow(
            request_id=RequestId(row.id),
            line=row.line,
            custom_id=row.custom_id,
            attempts=row.attempts,
        )


def _bounds(job: Job) -> tuple[int, int, JobId]:
    return job.first_request or 0, job.last_request or 0, job.id


def some(
    connection: Connection, ids: Sequence[RequestId], *, most_bytes: int = sys.maxsize
) -> list[Answered | Dead]:
    """Return those of these requests that are settled, in input order.

    It ends after the first one with which the replies have `most_bytes`; the caller asks for those after it again.
    """
    listed_ids = as_json_array(ids)
    found: Iterator[Answered | Dead] = merge(
        map(_make_answered, _select_given_answered.each(connection, listed_ids)),
        map(_make_dead, _select_given_dead.each(connection, listed_ids)),
        key=lambda each: each.request_id,
    )
    rows: list[Answered | Dead] = []
    for row in found:
        rows.append(row)
        most_bytes -= size_of(row)
        if most_bytes <= 0:
            break
    return rows


def size_of(row: Answered | Dead | CancelledRow) -> int:
    """Return the bytes of the row's reply."""
    if isinstance(row, CancelledRow):
        return 0
    return len(row.body) if isinstance(row, Answered) else len(row.reply or b"")


def is_whole(connection: Connection, job: Job) -> bool:
    """Return whether no request of the job was deleted: a deletion begins with the first one."""
    if job.first_request is None:
        return True
    first = select(requests.c.id).where(requests.c.id == job.first_request, requests.c.job_id == job.id)
    return connection.execute(first).first() is not None


def skipped(connection: Connection, job_id: JobId, *, after: int = 0, most: int = -1) -> list[BadLine]:
    """Return lines after line `after` that `--skip-invalid` skipped, in file order; `most` of them, -1 for all."""
    query = (
        select(rejected)
        .where(rejected.c.job_id == job_id, rejected.c.line > after)
        .order_by(rejected.c.line)
        .limit(most)
    )
    return [
        BadLine(line=row.line, reason=row.reason, text=row.text, custom_id=row.custom_id)
        for row in connection.execute(query)
    ]
