"""Who has claimed requests, the rescue of what a dead runner held, and the repair of clock skew."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, and_, bindparam, func, insert, null, select, true, union_all, update
from sqlalchemy import literal as bound_value

from batcher.domain.ids import EndpointId, HolderId, JobId, LaneId
from batcher.domain.jobs import Orders, Runner, RunnerSnapshot
from batcher.domain.lanes import LaneKey, LaneView
from batcher.domain.requests import SentClaims
from batcher.domain.states import AttemptKind, FailureKind, JobState, RequestState
from batcher.store.compiled import Compiled
from batcher.store.dialect import as_json_array, dialect_of, id_list, insert_new, insert_or_update, literal
from batcher.store.jobs.id_range import claimed
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.queue import lanes as lane_store
from batcher.store.queue import single_flight
from batcher.store.schema import IN_PLACE, SUSPECT_AFTER, attempts, holders, jobs, lanes, requests
from batcher.store.schema import lane_views as views_of_lanes

T = TypeVar("T")
#: Losses after which a request is dead-lettered as `worker_lost`: three beside others, then two alone.
WORKER_LOST_AFTER = SUSPECT_AFTER + 2

_CANCELLED_JOBS = select(jobs.c.id).where(jobs.c.state == JobState.CANCELLED.value)


_save_view = Compiled(
    insert_or_update(views_of_lanes, key=["lane_id"], new=["holder_id", "view"]).values(
        lane_id=bindparam("lane"), holder_id=bindparam("holder"), view=bindparam("seen")
    ),
    "lane",
    "holder",
    "seen",
)


def start(
    connection: Connection, *, pid: int, host: str, boot: str | None, now: int, booted_at: int | None = None
) -> HolderId:
    """Register a runner, which must hold the runner's lock.

    `booted_at` is when the boot of the machine began by the runner's clock, in UTC microseconds.
    """
    if boot is not None and booted_at is not None:
        boot = f"{boot}@{booted_at}"
    values = {"kind": "runner", "pid": pid, "host": host, "boot": boot, "started_at": now, "heartbeat_at": now}
    return HolderId(connection.execute(insert(holders).values(values).returning(holders.c.id)).scalar_one())


def beat(
    connection: Connection,
    holder: HolderId,
    *,
    now: int,
    snapshot: RunnerSnapshot,
    views: Mapping[LaneId, LaneView] = MappingProxyType({}),
) -> Orders:
    """Record that the holder is alive, what it has in hand, and which lanes changed; return what people want."""
    values = {"heartbeat_at": now, "snapshot": _encode(snapshot)}
    connection.execute(update(holders).where(holders.c.id == holder).values(values))
    _save_view.many(connection, ((lane_id, holder, _encode(view)) for lane_id, view in views.items()))
    query = (
        select(jobs.c.id, jobs.c.settings_version, jobs.c.wanted)
        .where(jobs.c.wanted != 0, jobs.c.state == JobState.OPEN.value)
        .order_by(jobs.c.id)
    )
    rows = list(connection.execute(query))
    return Orders(
        jobs={JobId(row.id): row.settings_version for row in rows},
        others_wrote=dialect_of(connection).change_counter(connection),
        hand_over=any(row.wanted == IN_PLACE for row in rows),
    )


def lane_views(connection: Connection, endpoint_id: EndpointId, key_name: str) -> dict[LaneKey, LaneView]:
    """Return how the latest runner sees the lanes of a key at an endpoint."""
    latest = select(func.max(holders.c.id)).where(holders.c.kind == "runner").scalar_subquery()
    query = (
        select(views_of_lanes.c.view)
        .join(lanes, lanes.c.id == views_of_lanes.c.lane_id)
        .where(lanes.c.endpoint_id == endpoint_id, lanes.c.key_name == key_name)
        .where(views_of_lanes.c.holder_id == latest)
    )
    seen = (_decode(text, LaneView) for text in connection.execute(query).scalars())
    return {view.key: view for view in seen if view is not None}


def _encode(value: RunnerSnapshot | LaneView) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, kind: type[T]) -> T | None:
    """Return what another process wrote; None if it is of another version and in another form."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return None


def end(connection: Connection, holder: HolderId, *, now: int) -> None:
    """Record that the holder has given back or settled everything it had."""
    connection.execute(update(holders).where(holders.c.id == holder).values(ended_at=now))


def latest_runner(connection: Connection) -> Runner | None:
    """Return the runner that started last; only its lock says whether it is alive."""
    query = (
        select(holders.c.id, holders.c.pid, holders.c.started_at, holders.c.heartbeat_at, holders.c.snapshot)
        .where(holders.c.kind == "runner", holders.c.ended_at.is_(None))
        .order_by(holders.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return Runner(**{**row, "snapshot": _decode(row["snapshot"] or "", RunnerSnapshot)})


def rescue(connection: Connection, *, now: int, sent: SentClaims | None = None) -> int:
    """Give back what dead runners held. The caller holds the runner's lock, so all others are dead.

    `sent` says which of the last runner's claims had been sent; its other claims are released. What became of all
    the rest is unknown, so each is recorded as a lost attempt and counted. Returns how many were given back.
    """
    dead = select(holders.c.id).where(holders.c.kind == "runner", holders.c.ended_at.is_(None))
    held = and_(requests.c.id.in_(claimed()), requests.c.holder_id.in_(dead))
    changes = CountChanges()
    released = 0 if sent is None else _release_unsent(connection, held, sent, changes, now)
    _record_lost(connection, held, now)
    lane_store.add_lost_use(connection, held, now=now)
    rescued = _give_back(connection, held, changes, now)
    changes.write(connection)
    connection.execute(
        update(holders).where(holders.c.kind == "runner", holders.c.ended_at.is_(None)).values(ended_at=now)
    )
    return released + rescued


def _release_unsent(
    connection: Connection,
    held: Any,  # noqa: ANN401 - a condition
    sent: SentClaims,
    changes: CountChanges,
    now: int,
) -> int:
    """Release rows that were claimed ahead and never sent: no attempt was made, and they killed no runner."""
    taken = connection.execute(
        select(requests.c.id, requests.c.sends).where(held, requests.c.holder_id == sent.holder)
    )
    unsent = [row.id for row in taken if (row.id, row.sends) not in sent.sends]
    these, named = requests.c.id.in_(id_list("ids")), {"ids": as_json_array(unsent)}
    given_up = connection.execute(
        update(requests)
        .where(these, held, requests.c.job_id.in_(_CANCELLED_JOBS))
        .values(state=RequestState.CANCELLED.value, holder_id=null(), sends=requests.c.sends - 1, settled_at=now)
        .returning(requests.c.job_id),
        named,
    )
    of_given_up = list(given_up.scalars())
    back = connection.execute(
        update(requests)
        .where(these, held)
        .values(state=RequestState.PENDING.value, returned=1, holder_id=null(), sends=requests.c.sends - 1)
        .returning(requests.c.job_id),
        named,
    )
    of_back = list(back.scalars())
    changes.move(of_given_up, RequestState.CLAIMED, RequestState.CANCELLED)
    changes.move(of_back, RequestState.CLAIMED, RequestState.PENDING)
    changes.give_back_sends((*of_given_up, *of_back))
    return len(of_given_up) + len(of_back)


def _record_lost(connection: Connection, held: Any, now: int) -> None:  # noqa: ANN401 - a condition
    columns = ["request_id", "send", "holder_id", "revision", "ended_at", "kind", "code", "message"]
    lost = select(
        requests.c.id,
        requests.c.sends,
        requests.c.holder_id,
        requests.c.revision,
        bound_value(now),
        bound_value(AttemptKind.LOST.value),
        bound_value("worker_lost"),
        bound_value("the runner died before this attempt was recorded"),
    ).where(held)
    connection.execute(insert_new(attempts).from_select(columns, lost))


def _give_back(connection: Connection, held: Any, changes: CountChanges, now: int) -> int:  # noqa: ANN401 - a condition
    lost_again = {"holder_id": null(), "lost": requests.c.lost + 1}
    fatal = requests.c.lost >= WORKER_LOST_AFTER - 1
    # In this order: each takes what it is about, and leaves the rest to the next.
    ends: tuple[tuple[RequestState, Any, dict[str, Any]], ...] = (
        (
            RequestState.CANCELLED,
            requests.c.job_id.in_(_CANCELLED_JOBS),
            {"holder_id": null(), "settled_at": now},
        ),
        (
            RequestState.DEAD_LETTERED,
            fatal,
            {
                **lost_again,
                "failure_kind": FailureKind.PERMANENT.value,
                "failure_code": "worker_lost",
                "settled_at": now,
            },
        ),
        (RequestState.PENDING, true(), {**lost_again, "returned": 1}),
    )
    given_back = 0
    for state, concerned, values in ends:
        ended = list(
            connection.execute(
                update(requests)
                .where(held, concerned)
                .values(state=state.value, **values)
                .returning(requests.c.id, requests.c.job_id)
            )
        )
        changes.move((row.job_id for row in ended), RequestState.CLAIMED, state)
        given_back += len(ended)
        if state is RequestState.DEAD_LETTERED:
            single_flight.dead_letter(connection, [row.id for row in ended], changes, now=now)
    return given_back


#: What waits for a time, by the two indexes that know it: other rows are not read, however many there are.
_leads = and_(requests.c.state == literal(RequestState.PENDING.value), requests.c.leader_id.is_(None))
_waiting = union_all(
    select(requests.c.id).where(
        _leads, requests.c.available_at.is_not(None), requests.c.lost < literal(SUSPECT_AFTER)
    ),
    select(requests.c.id).where(_leads, requests.c.lost >= literal(SUSPECT_AFTER)),
)
#: Microseconds by which a clock may drift without having been set.
_DRIFT = 1_000_000


def repair_clock_skew(
    connection: Connection, *, now: int, boot: str | None = None, booted_at: int | None = None
) -> int:
    """Repair clock skew: if the wall clock was set since the last run, shift persisted times by as much.

    Within one boot of the machine, the difference is that of the times at which it began by both clocks; otherwise
    a heartbeat in the future shows that the last runner's clock was ahead. Returns by how much it was ahead, in
    microseconds; less than 0 if it was behind. The caller holds the runner's lock, and has not yet started.
    """
    ahead = _ahead_within_boot(connection, boot, booted_at)
    if ahead is None:
        latest = connection.execute(select(func.max(holders.c.heartbeat_at))).scalar_one()
        ahead = 0 if latest is None else max(0, int(latest) - now)
    if not ahead:
        return 0
    # Times that were due by the last runner's clock stay due.
    waits_from = min(now, now + ahead)
    due_at, cooling_until = requests.c.available_at, lanes.c.cooling_until
    connection.execute(
        update(requests)
        .where(requests.c.id.in_(_waiting), due_at > waits_from)
        .values(available_at=due_at - ahead)
    )
    connection.execute(update(lanes).where(cooling_until > waits_from).values(cooling_until=cooling_until - ahead))
    lane_store.shift_days(connection, ahead, now=now)
    connection.execute(update(holders).where(holders.c.heartbeat_at > now).values(heartbeat_at=now))
    return ahead


def _ahead_within_boot(connection: Connection, boot: str | None, booted_at: int | None) -> int | None:
    """Return by how much the last runner's clock was ahead, if it ran in this boot; None: unknown."""
    query = select(holders.c.boot).where(holders.c.kind == "runner").order_by(holders.c.id.desc()).limit(1)
    last_boot, _, last_booted_at = (connection.execute(query).scalar() or "").partition("@")
    if boot is None or booted_at is None or last_boot != boot or not last_booted_at:
        return None
    ahead = int(last_booted_at) - booted_at
    return ahead if abs(ahead) > _DRIFT else 0
