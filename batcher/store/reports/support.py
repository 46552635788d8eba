"""What a support desk needs of a job: attempts and bodies."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from batcher.domain.errors import UsageError
from batcher.domain.ids import JobId, RequestId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.states import AttemptKind, RequestState
from batcher.store.dialect import as_json_array, id_list, literal
from batcher.store.jobs.id_range import within
from batcher.store.reports.attempt_columns import AttemptRow
from batcher.store.schema import attempts, bodies, former_bodies, jobs, requests, routes


class JobAttempt(Struct, frozen=True, kw_only=True):
    """One attempt and the row that was sent."""

    attempt: AttemptRow
    line: int
    custom_id: str
    #: Of the job; the attempts' X-Client-Request-Id begins with it.
    public_id: str
    url: str
    model: str


class RequestWithBodies(Struct, frozen=True, kw_only=True):
    """A request as it was last sent, and the bodies it had before redrives edited them."""

    request: RequestId
    line: int
    custom_id: str
    url: str
    model: str
    state: str
    body: bytes
    former: tuple[bytes, ...]


def job_of(connection: Connection, request: RequestId) -> JobId:
    """Return the job of a request. Raises UsageError if there is none."""
    found = connection.execute(select(requests.c.job_id).where(requests.c.id == request)).scalar()
    if found is None:
        raise UsageError(f"there is no request {request}", hint=Cause.LIST_FAILED())
    return JobId(found)


def attempt_count(connection: Connection, job: Job, request: RequestId | None) -> int:
    """Return how many attempts the job, or one request of it, has had."""
    query = select(func.count()).select_from(attempts).join(requests, requests.c.id == attempts.c.request_id)
    return int(connection.execute(query.where(_sent_for(job, request))).scalar_one())


def attempts_of(connection: Connection, job: Job, request: RequestId | None, *, limit: int) -> list[JobAttempt]:
    """Return attempts of the job, or of one request of it: failures before successes, the newest first."""
    of_attempt = AttemptRow.__struct_fields__
    query = (
        select(
            *(attempts.c[name] for name in of_attempt),
            requests.c.line,
            requests.c.custom_id,
            jobs.c.public_id,
            routes.c.path.label("url"),
            routes.c.model,
        )
        .select_from(attempts)
        .join(requests, requests.c.id == attempts.c.request_id)
        .join(routes, routes.c.id == requests.c.route_id)
        .join(jobs, jobs.c.id == requests.c.job_id)
        .where(_sent_for(job, request))
        .order_by(
            attempts.c.kind == AttemptKind.SUCCESS.value,
            attempts.c.ended_at.desc(),
            attempts.c.request_id.desc(),
            attempts.c.send.desc(),
        )
        .limit(limit)
    )
    return [
        JobAttempt(
            attempt=AttemptRow(**{name: row[name] for name in of_attempt}),
            line=row["line"],
            custom_id=row["custom_id"],
            public_id=row["public_id"],
            url=row["url"],
            model=row["model"],
        )
        for row in connection.execute(query).mappings()
    ]


def failed_requests(connection: Connection, job: Job, request: RequestId | None, *, limit: int) -> list[RequestId]:
    """Return dead letters, the newest first; if there are none, rows that failed on the way."""
    meant = select(requests.c.id).where(_meant(job, request))
    dead = meant.where(requests.c.state == literal(RequestState.DEAD_LETTERED.value))
    failed = select(attempts.c.request_id).where(attempts.c.kind != AttemptKind.SUCCESS.value)
    newest = dead.order_by(requests.c.settled_at.desc(), requests.c.id).limit(limit)
    found = connection.execute(newest).scalars().all()
    if not found:
        unlucky = meant.where(requests.c.id.in_(failed)).order_by(requests.c.id).limit(limit)
        found = connection.execute(unlucky).scalars().all()
    return [RequestId(row) for row in found]


def first_requests(connection: Connection, job: Job, request: RequestId | None, *, limit: int) -> list[RequestId]:
    """Return the first rows of the job, or the one request."""
    query = select(requests.c.id).where(_meant(job, request)).order_by(requests.c.id).limit(limit)
    return [RequestId(row) for row in connection.execute(query).scalars()]


def requests_with_bodies(connection: Connection, ids: Sequence[RequestId]) -> list[RequestWithBodies]:
    """Return these requests with their bodies, by number."""
    named = {"ids": as_json_array(ids)}
    before: dict[int, list[bytes]] = {}
    earlier = select(former_bodies.c.request_id, former_bodies.c.body).where(
        former_bodies.c.request_id.in_(id_list("ids"))
    )
    for row in connection.execute(earlier.order_by(former_bodies.c.revision), named):
        before.setdefault(row.request_id, []).append(row.body)
    query = (
        select(
            requests.c.id.label("request"),
            requests.c.line,
            requests.c.custom_id,
            routes.c.path.label("url"),
            routes.c.model,
            requests.c.state,
            bodies.c.body,
        )
        .join(routes, routes.c.id == requests.c.route_id)
        .join(bodies, bodies.c.request_id == requests.c.id)
        .where(requests.c.id.in_(id_list("ids")))
        .order_by(requests.c.id)
    )
    return [
        RequestWithBodies(**row, former=tuple(before.get(row["request"], ())))
        for row in connection.execute(query, named).mappings()
    ]


def _meant(job: Job, request: RequestId | None) -> ColumnElement[bool]:
    return within(job) if request is None else and_(within(job), requests.c.id == request)


def _sent_for(job: Job, request: RequestId | None) -> ColumnElement[bool]:
    """Return the condition for a request and its leader, which was sent in its place."""
    if request is None:
        return within(job)
    itself = requests.alias("itself")
    leader = select(itself.c.leader_id).where(itself.c.id == request).scalar_subquery()
    return and_(within(job), or_(requests.c.id == request, requests.c.id == leader))
