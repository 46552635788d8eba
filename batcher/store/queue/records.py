"""The permanent records of settlements: an answer is a row of `responses`, an attempt one of `attempts`."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, insert, select

from batcher.domain.ids import HolderId, JobId
from batcher.domain.outcomes import Usage
from batcher.domain.requests import Claim
from batcher.domain.settlements import AttemptRecord, Complete, Settlement
from batcher.domain.states import AttemptKind
from batcher.store.compiled import Compiled, CompiledInsert
from batcher.store.dialect import as_json_array, id_list, insert_or_update, literal
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.schema import attempts, responses

#: Stands for NULL, and is no value of these columns: the driver takes 1 µs to bind None, `nullif` a tenth of it.
_NULL = -1


def _values(table: Table, names: Sequence[str]) -> dict[str, Any]:
    return {
        name: func.nullif(bindparam(name), literal(_NULL)) if table.c[name].nullable else bindparam(name)
        for name in names
    }


#: What few replies state of their usage; it is written by statements of its own.
_PARTS = ("cost", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "tier_sent", "tier_billed")
_RESPONSE = (
    "id",
    "endpoint_id",
    "request_id",
    "status",
    "provider_request_id",
    "input_tokens",
    "output_tokens",
    "latency_us",
    "created_at",
    "body",
)
_ATTEMPT = (
    "request_id",
    "send",
    "holder_id",
    "lane_id",
    "revision",
    "sent_at",
    "ended_at",
    "status",
    "kind",
    "provider_request_id",
    "input_tokens",
    "output_tokens",
)
_FAILURE = (*_ATTEMPT, *_PARTS, "code", "message", "retry_after_us", "reply")
_SUCCESS = AttemptKind.SUCCESS


def _attempts(*names: str) -> CompiledInsert:
    """Let the reply of a request whose holder was taken for dead replace the record that it was lost."""
    key, columns = list(_FAILURE[:2]), list(_FAILURE[2:])
    was_lost = f"attempts.kind = '{AttemptKind.LOST.value}'"
    insertion = insert_or_update(attempts, key=key, new=columns, where=was_lost)
    return CompiledInsert(insertion.values(_values(attempts, names)), *names)


def _responses(*names: str) -> CompiledInsert:
    return CompiledInsert(insert(responses).values(_values(responses, names)), *names)


_insert_answers = _responses(*_RESPONSE)
_insert_answers_with_parts = _responses(*_RESPONSE, *_PARTS)
_insert_successes = _attempts(*_ATTEMPT)
_insert_successes_with_parts = _attempts(*_ATTEMPT, *_PARTS)
_insert_failures = _attempts(*_FAILURE)


_names = select(attempts.c.request_id, attempts.c.send).where(attempts.c.request_id.in_(id_list("ids")))
_select_recorded = Compiled(_names.where(attempts.c.kind != literal(AttemptKind.LOST.value)), "ids")
_select_of_others = Compiled(_names.where(attempts.c.holder_id != bindparam("holder")), "ids", "holder")


def write_answers(connection: Connection, answers: Iterable[tuple[int, Settlement, Complete]], now: int) -> None:
    """Write answers, each under its number."""
    plain, with_parts = [], []
    for number, settlement, complete in answers:
        row = _response_row(number, settlement, complete, now)
        if complete.usage.is_plain:
            plain.append(row)
        else:
            with_parts.append((*row, *_parts(complete.usage)))
    _insert_answers.all(connection, plain)
    _insert_answers_with_parts.all(connection, with_parts)


def _response_row(response_id: int, settlement: Settlement, complete: Complete, now: int) -> tuple[Any, ...]:
    claim, reply, usage = settlement.claim, complete.reply, complete.usage
    name, sent, made = complete.provider_request_id, usage.input_tokens, usage.output_tokens
    return (
        response_id,
        claim.endpoint_id,
        claim.request_id,
        reply.status,
        _NULL if name is None else name,
        _NULL if sent is None else sent,
        _NULL if made is None else made,
        reply.latency_us,
        now,
        reply.body,
    )


def _parts(usage: Usage) -> list[Any]:
    parts = (
        usage.cost_usd,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.tier_sent,
        usage.tier_billed,
    )
    return [_NULL if value is None else value for value in parts]


def write_attempts(
    connection: Connection, settlements: Sequence[Settlement], holder: HolderId, changes: CountChanges
) -> None:
    """Write the attempts of claims that the holder still had.

    Of one that was released and claimed again, a late record may be there already: then it stays.
    """
    recorded = [each for each in settlements if each.attempt is not None]
    if _write(connection, recorded, holder) < len(recorded):
        ids = as_json_array(each.claim.request_id for each in recorded)
        by_others = {tuple(row) for row in _select_of_others.rows(connection, ids, holder)}
        recorded = [each for each in recorded if (each.claim.request_id, each.claim.send) not in by_others]
    _count(recorded, changes)


def write_late_attempts(
    connection: Connection, settlements: Sequence[Settlement], holder: HolderId, changes: CountChanges
) -> None:
    """Write the attempts of settlements of which some are outdated, or written already; those stay."""
    ids = as_json_array(each.claim.request_id for each in settlements)
    known = {tuple(row) for row in _select_recorded.rows(connection, ids)}
    new: dict[tuple[int, int], Settlement] = {}
    for each in settlements:
        name = each.claim.request_id, each.claim.send
        if each.attempt is not None and name not in known:
            new.setdefault(name, each)
    _write(connection, new.values(), holder)
    _count(new.values(), changes)


def _count(recorded: Iterable[Settlement], changes: CountChanges) -> None:
    """Count attempts of which there was no record, or only one that they were lost, which counts nothing."""
    # Few lines, as they run for every row that is settled.
    for job_id, attempts_of_job in _by_job(recorded).items():
        change, usages = changes.of(job_id), [each.usage for each in attempts_of_job]
        change.input_tokens += sum([usage.input_tokens or 0 for usage in usages])
        change.output_tokens += sum([usage.output_tokens or 0 for usage in usages])
        kinds = [each.kind for each in attempts_of_job]
        if kinds.count(_SUCCESS) < len(kinds):
            change.rate_limited += kinds.count(AttemptKind.RATE_LIMITED)
            change.never_sent += sum(each.sent_at is None for each in attempts_of_job)


def _by_job(recorded: Iterable[Settlement]) -> dict[JobId, list[AttemptRecord]]:
    by_job: dict[JobId, list[AttemptRecord]] = {}
    for each in recorded:
        assert each.attempt is not None  # noqa: S101 - for the type checker
        job_id = each.claim.job_id
        if job_id not in by_job:
            by_job[job_id] = []
        by_job[job_id].append(each.attempt)
    return by_job


def _write(connection: Connection, settlements: Iterable[Settlement], holder: HolderId) -> int:
    """Write the attempt of each settlement that has one; return how many of them were not there."""
    plain, with_parts, failures = [], [], []
    for settlement in settlements:
        attempt = settlement.attempt
        if attempt is None:
            continue
        row = _attempt_row(settlement.claim, attempt, holder)
        if attempt.kind is not _SUCCESS:
            failures.append((*row, *_parts(attempt.usage), *_failure_columns(attempt)))
        elif attempt.usage.is_plain:
            plain.append(row)
        else:
            with_parts.append((*row, *_parts(attempt.usage)))
    written = _insert_successes.all(connection, plain)
    written += _insert_successes_with_parts.all(connection, with_parts)
    return written + _insert_failures.all(connection, failures)


def _attempt_row(claim: Claim, attempt: AttemptRecord, holder: HolderId) -> tuple[Any, ...]:
    sent_at, status, name = attempt.sent_at, attempt.status, attempt.provider_request_id
    sent, made = attempt.usage.input_tokens, attempt.usage.output_tokens
    return (
        claim.request_id,
        claim.send,
        holder,
        attempt.lane_id,
        claim.revision,
        _NULL if sent_at is None else sent_at,
        attempt.ended_at,
        _NULL if status is None else status,
        attempt.kind.value,
        _NULL if name is None else name,
        _NULL if sent is None else sent,
        _NULL if made is None else made,
    )


def _failure_columns(attempt: AttemptRecord) -> list[Any]:
    columns = (attempt.code, attempt.message, attempt.retry_after_us, attempt.reply)
    return [_NULL if value is None else value for value in columns]
