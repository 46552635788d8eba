"""Settlements: a whole batch in one transaction, each conditional on (holder, send) still matching.

Losing that race is a normal result: the row was rescued or cancelled meanwhile, and only its attempt is kept. A
settlement is never undone, and settling the same batch twice changes nothing: a commit whose outcome is unknown
(it raised, but may be on disk) can be repeated.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, exists, null, select, tuple_, update

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import HolderId, JobId, RequestId
from batcher.domain.settlements import Complete, DeadLetter, Release, Requeue, Settlement
from batcher.domain.states import AnswerMark, JobState, RequestState
from batcher.store.compiled import Compiled, as_json_rows
from batcher.store.dialect import as_json_array, id_list, ids_of, insert_or_update, literal, new_ids
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import records, single_flight
from batcher.store.queue.tally import SettledTally
from batcher.store.schema import cache, cache_scope, endpoints, jobs, requests, responses

_claimed = requests.c.state == literal(RequestState.CLAIMED.value)
_still_held = and_(
    requests.c.id == bindparam("id_"),
    requests.c.holder_id == bindparam("holder"),
    requests.c.sends == bindparam("send"),
    _claimed,
)
# Locked, where transactions run beside one another: what is held now stays held until it is settled.
_held = (
    select(requests.c.id, requests.c.sends)
    .where(requests.c.id.in_(id_list("ids")), requests.c.holder_id == bindparam("holder"), _claimed)
    .with_for_update()
)
# Everything that is read before anything is written, in one statement (see `CompiledJson`).
_select_standing = Compiled(
    select(
        as_json_rows(_held).scalar_subquery().label("held"),
        new_ids(responses, "answers").label("answer_ids"),
        exists()
        .where(endpoints.c.id.in_(id_list("endpoints")), endpoints.c.answered == literal(0))
        .label("is_first_answer"),
    ),
    "ids",
    "holder",
    "endpoints",
    "answers",
)
_select_existing = Compiled(
    select(requests.c.id, requests.c.sends).where(requests.c.id.in_(id_list("ids"))), "ids"
)
_use_number = Compiled(
    update(requests).where(requests.c.id == bindparam("id_")).values(sends=bindparam("send")), "send", "id_"
)
# The cache is keyed by scope and fingerprint; without both, the whole of it would be searched.
_of_request = tuple_(cache.c.cache_scope, cache.c.fingerprint).in_(
    select(cache_scope, requests.c.fingerprint)
    .select_from(responses)
    .join(requests, requests.c.id == responses.c.request_id)
    .join(endpoints, endpoints.c.id == responses.c.endpoint_id)
    .where(requests.c.id == bindparam("id_"), responses.c.id == bindparam("response"))
)
# All answers of a batch at once. Another writer's answers may have ids among theirs, but are of other holders.
_new = and_(
    responses.c.id >= bindparam("first"),
    requests.c.id == responses.c.request_id,
    requests.c.holder_id == bindparam("holder"),
    _claimed,
)
_cache_new = Compiled(
    insert_or_update(
        cache, key=["cache_scope", "fingerprint"], new=["response_id", "created_at"], reset=["marks"]
    ).from_select(
        ["cache_scope", "fingerprint", "response_id", "created_at"],
        select(cache_scope, requests.c.fingerprint, responses.c.id, responses.c.created_at)
        .select_from(responses)
        .join(endpoints, endpoints.c.id == responses.c.endpoint_id)
        .join(requests, _new)
        .where(requests.c.fingerprint.is_not(None)),
    ),
    "first",
    "holder",
)
# Few answers have marks, so they are written by themselves.
_mark = Compiled(
    update(requests).where(requests.c.id == bindparam("id_")).values(marks=bindparam("marks")), "marks", "id_"
)
_mark_cached = Compiled(
    update(cache)
    .where(cache.c.response_id == bindparam("response"), _of_request)
    .values(marks=bindparam("marks")),
    "marks",
    "response",
    "id_",
)
_forget_cached = Compiled(
    cache.delete().where(cache.c.response_id == bindparam("response"), _of_request), "response", "id_"
)
_mark_answered = Compiled(
    update(endpoints)
    .where(endpoints.c.id.in_(id_list("ids")), endpoints.c.answered == literal(0))
    .values(answered=literal(1)),
    "ids",
)
_free: dict[str, Any] = {"holder_id": null(), "settled_at": bindparam("now")}
_complete_new = Compiled(
    update(requests)
    .where(_new)
    .values(state=literal(RequestState.COMPLETED.value), response_id=responses.c.id, **_free),
    "now",
    "first",
    "holder",
)
_dead_letter = Compiled(
    update(requests)
    .where(_still_held)
    .values(
        state=literal(RequestState.DEAD_LETTERED.value),
        failure_kind=bindparam("kind"),
        failure_code=bindparam("code"),
        **_free,
    ),
    "kind",
    "code",
    "now",
    "id_",
    "holder",
    "send",
)
_requeue = Compiled(
    update(requests)
    .where(_still_held)
    .values(
        state=literal(RequestState.PENDING.value),
        returned=literal(1),
        holder_id=null(),
        available_at=bindparam("available_at"),
        spent=requests.c.spent + bindparam("spend"),
        timeouts=requests.c.timeouts + bindparam("timeout"),
    ),
    "available_at",
    "spend",
    "timeout",
    "id_",
    "holder",
    "send",
)
# Never sent: the attempt number is given back, because only the claim had used it.
_release = Compiled(
    update(requests)
    .where(_still_held)
    .values(
        state=literal(RequestState.PENDING.value),
        returned=literal(1),
        holder_id=null(),
        sends=requests.c.sends - literal(1),
    ),
    "id_",
    "holder",
    "send",
)
_cancel = Compiled(
    update(requests)
    .where(_still_held)
    .values(
        state=literal(RequestState.CANCELLED.value), sends=requests.c.sends - bindparam("given_back"), **_free
    ),
    "given_back",
    "now",
    "id_",
    "holder",
    "send",
)
_select_cancelled = Compiled(
    select(jobs.c.id).where(jobs.c.id.in_(id_list("ids")), jobs.c.state == literal(JobState.CANCELLED.value)),
    "ids",
)


def settle(
    connection: Connection, settlements: Sequence[Settlement], *, holder: HolderId, now: int
) -> list[RequestsSettled]:
    """Write the batch; return the requests that were settled by it, followers included."""
    changes = CountChanges(holder)
    settled = settle_into(connection, settlements, changes, holder=holder, now=now)
    changes.write(connection)
    return settled


def settle_into(
    connection: Connection,
    settlements: Sequence[Settlement],
    changes: CountChanges,
    *,
    holder: HolderId,
    now: int,
) -> list[RequestsSettled]:
    """Write the batch as `settle` does; the caller writes the changes of the counts."""
    asked = as_json_array(s.claim.request_id for s in settlements)
    of_endpoints = as_json_array({s.claim.endpoint_id for s in settlements})
    most_answers = sum(isinstance(each.decision, Complete) for each in settlements)
    (standing,) = _select_standing.rows(connection, asked, holder, of_endpoints, most_answers)
    held = dict(msgspec.json.decode(standing.held))
    # One settlement per request, in case a batch has the same one twice.
    valid = list(
        {s.claim.request_id: s for s in settlements if held.get(s.claim.request_id) == s.claim.send}.values()
    )
    completes: list[tuple[Settlement, Complete]] = []
    dead: list[tuple[Settlement, DeadLetter]] = []
    back: list[Settlement] = []
    for settlement in valid:
        match settlement.decision:
            case Complete() as complete:
                completes.append((settlement, complete))
            case DeadLetter() as letter:
                dead.append((settlement, letter))
            case Requeue() | Release():
                back.append(settlement)
    tally = SettledTally()
    numbers = ids_of(standing.answer_ids, most_answers)
    _write_completes(connection, completes, tally, changes, holder, now, numbers=numbers)
    _write_dead_letters(connection, dead, tally, changes, holder, now)
    if standing.is_first_answer and completes:
        _mark_answered.run(connection, as_json_array({s.claim.endpoint_id for s, _ in completes}))
    # After their leaders, in statements of their own: a follower that was attached meanwhile ends as well.
    ended = [s.claim.request_id for s, _ in (*completes, *dead)]
    if ended and single_flight.have_followers(connection, ended):
        _share_ends(connection, completes, dead, tally, changes, now)
    _write_back(connection, back, changes, holder, now)
    if len(valid) == len(settlements):
        records.write_attempts(connection, valid, holder, changes)
    else:
        # An outdated settlement changes nothing, but the attempt was made, and is kept.
        records.write_late_attempts(connection, _known(connection, settlements, changes), holder, changes)
    return tally.result()


def _write_completes(
    connection: Connection,
    completes: Sequence[tuple[Settlement, Complete]],
    tally: SettledTally,
    changes: CountChanges,
    holder: HolderId,
    now: int,
    *,
    numbers: Sequence[int],
) -> None:
    """Write the answers under these rising numbers, of which there may be more."""
    if not completes:
        return
    made = {s.claim.request_id: number for (s, _), number in zip(completes, numbers, strict=False)}
    records.write_answers(connection, ((made[s.claim.request_id], s, complete) for s, complete in completes), now)
    _cache_new.run(connection, numbers[0], holder)
    # That each is still held, and by this send, was checked above, in this transaction.
    _complete_new.run(connection, now, numbers[0], holder)
    _write_marks(connection, [(s, c.marks, made[s.claim.request_id]) for s, c in completes if c.marks], changes)
    for job_id, ids in _by_job(completes).items():
        change = changes.of(job_id)
        change.claimed -= len(ids)
        change.completed += len(ids)
        tally.completed(job_id, ids)


def _write_marks(
    connection: Connection, marked: Sequence[tuple[Settlement, AnswerMark, int]], changes: CountChanges
) -> None:
    """Write what is odd about these answers, with their numbers. An empty one serves no other request."""
    odd = [(marks & ~AnswerMark.UNVALIDATED, s.claim.request_id) for s, marks, _ in marked]
    _mark.many(connection, [(marks.value, request_id) for marks, request_id in odd if marks])
    for s, marks, response in marked:
        changes.of(s.claim.job_id).add_marks(marks)
        if marks & AnswerMark.EMPTY:
            _forget_cached.run(connection, response, s.claim.request_id)
        else:
            _mark_cached.run(connection, marks.value, response, s.claim.request_id)


def _write_dead_letters(
    connection: Connection,
    dead: Sequence[tuple[Settlement, DeadLetter]],
    tally: SettledTally,
    changes: CountChanges,
    holder: HolderId,
    now: int,
) -> None:
    if not dead:
        return
    _dead_letter.many(
        connection,
        ((letter.kind, letter.code, now, s.claim.request_id, holder, s.claim.send) for s, letter in dead),
    )
    for job_id, ids in _by_job(dead).items():
        changes.move_rows(job_id, len(ids), RequestState.CLAIMED, RequestState.DEAD_LETTERED)
        tally.dead_lettered(job_id, ids)


def _by_job(ended: Sequence[tuple[Settlement, Any]]) -> dict[JobId, list[RequestId]]:
    """Return the requests of each job."""
    by_job: dict[JobId, list[RequestId]] = {}
    for settlement, _ in ended:
        claim = settlement.claim
        if claim.job_id not in by_job:
            by_job[claim.job_id] = []
        by_job[claim.job_id].append(claim.request_id)
    return by_job


def _share_ends(
    connection: Connection,
    completes: Sequence[tuple[Settlement, Complete]],
    dead: Sequence[tuple[Settlement, DeadLetter]],
    tally: SettledTally,
    changes: CountChanges,
    now: int,
) -> None:
    if completes:
        done = single_flight.complete(connection, [s.claim.request_id for s, _ in completes], changes, now=now)
        for row in done.followers:
            tally.completed(row.job_id, [row.id], cached=1)
        tally.followers_left |= done.is_partial
    if dead:
        failed = single_flight.dead_letter(connection, [s.claim.request_id for s, _ in dead], changes, now=now)
        for row in failed.followers:
            tally.dead_lettered(row.job_id, [row.id])
        tally.followers_left |= failed.is_partial


def _write_back(
    connection: Connection, back: Sequence[Settlement], changes: CountChanges, holder: HolderId, now: int
) -> None:
    if not back:
        return
    cancelled = set(_select_cancelled.column(connection, as_json_array({s.claim.job_id for s in back})))
    requeued, released, given_up = [], [], []
    for settlement in back:
        fence = (settlement.claim.request_id, holder, settlement.claim.send)
        decision, job_id = settlement.decision, settlement.claim.job_id
        if job_id in cancelled:
            given_up.append((int(isinstance(decision, Release)), now, *fence))
        elif isinstance(decision, Requeue):
            requeued.append((decision.available_at, int(decision.uses_attempt), int(decision.timeout), *fence))
        else:
            released.append(fence)
    of_jobs = Counter(s.claim.job_id for s in back)
    for job_id, rows in of_jobs.items():
        after = RequestState.CANCELLED if job_id in cancelled else RequestState.PENDING
        changes.move_rows(job_id, rows, RequestState.CLAIMED, after)
    changes.give_back_sends(s.claim.job_id for s in back if isinstance(s.decision, Release))
    _requeue.many(connection, requeued)
    _release.many(connection, released)
    _cancel.many(connection, given_up)


def _known(connection: Connection, settlements: Sequence[Settlement], changes: CountChanges) -> list[Settlement]:
    """Return those whose request still exists: its job may have been deleted meanwhile.

    Of an attempt whose number was given back as if it had never been sent, the number is used after all: the next
    send would be recorded under the same one.
    """
    asked = as_json_array(s.claim.request_id for s in settlements)
    sends = {row.id: row.sends for row in _select_existing.rows(connection, asked)}
    known = [s for s in settlements if s.claim.request_id in sends]
    for settlement in known:
        claim = settlement.claim
        given_back = claim.send - sends[claim.request_id]
        if settlement.attempt is not None and given_back > 0:
            _use_number.run(connection, claim.send, claim.request_id)
            changes.of(claim.job_id).sends += given_back
            sends[claim.request_id] = claim.send
    return known
