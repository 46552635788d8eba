"""Jobs as rows: finding, requesting, finishing, cancelling and deleting them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    null,
    or_,
    select,
    update,
)

from batcher.domain.errors import UnknownJob
from batcher.domain.ids import JobId, RouteId
from batcher.domain.jobs import Job
from batcher.domain.messages import Cause
from batcher.domain.requests import Route
from batcher.domain.settings import JobSettings
from batcher.domain.states import AnswerMark, JobState, RequestState
from batcher.store.jobs.id_range import within
from batcher.store.jobs.kept_counts import CountChanges
from batcher.store.jobs.loading import endpoint, remove_job_row
from batcher.store.jobs.open_routes import has_work
from batcher.store.jobs.removal import remove_requests
from batcher.store.schema import IN_PLACE, cache_scope, endpoints, jobs, pauses, requests, routes


def _query() -> Select[Any]:
    columns = (endpoints.c.base_url, endpoints.c.scope.label("answer_scope"), cache_scope.label("cache_scope"))
    return select(jobs, *columns).join(endpoints, endpoints.c.id == jobs.c.endpoint_id)


def _job(row: Row[Any]) -> Job:
    return Job(
        id=JobId(row.id),
        public_id=row.public_id,
        name=row.name,
        state=JobState(row.state),
        wanted=bool(row.wanted),
        endpoint_id=row.endpoint_id,
        base_url=row.base_url,
        answer_scope=row.answer_scope,
        cache_scope=row.cache_scope,
        key_name=row.key_name,
        settings=msgspec.json.decode(row.settings, type=JobSettings),
        settings_version=row.settings_version,
        source_name=row.source_name,
        source_path=row.source_path,
        output_path=row.output_path,
        total=row.total,
        first_request=row.first_request,
        last_request=row.last_request,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        active_us=row.active_us,
    )


def all_jobs(connection: Connection) -> list[Job]:
    """Return every visible job, oldest first."""
    query = _query().where(jobs.c.state != JobState.SUBMITTING.value).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(query)]


def get(connection: Connection, job_id: JobId) -> Job:
    """Return the job of that number. Raises `UnknownJob`."""
    row = connection.execute(_query().where(jobs.c.id == job_id)).first()
    if row is None or row.state == JobState.SUBMITTING.value:
        raise UnknownJob(f"there is no job {job_id}", hint=Cause.LIST_JOBS())
    return _job(row)


def find(connection: Connection, named: str) -> Job:
    """Return the job of a number or a unique name. Raises `UnknownJob`."""
    if named.isascii() and named.isdigit():
        return get(connection, JobId(min(int(named), 2**63 - 1)))
    query = _query().where(jobs.c.name == named, jobs.c.state != JobState.SUBMITTING.value).order_by(jobs.c.id)
    found = [_job(row) for row in connection.execute(query)]
    if len(found) == 1:
        return found[0]
    if found:
        numbers = ", ".join(str(job.id) for job in found)
        raise UnknownJob(f'several jobs are named "{named}": {numbers}', hint="name one by its number")
    raise UnknownJob(f'there is no job named "{named}"', hint=Cause.LIST_JOBS())


def newest(connection: Connection) -> Job:
    """Return the job that was submitted last. Raises `UnknownJob` if there is none."""
    query = _query().where(jobs.c.state != JobState.SUBMITTING.value).order_by(jobs.c.id.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        raise UnknownJob("there is no job in this store", hint=Cause.MAKE_A_JOB())
    return _job(row)


def by_source(connection: Connection, digest: bytes, base_url: str) -> Job | None:
    """Return the newest job from a file of this content to this base URL, unless it was cancelled."""
    query = (
        _query()
        .where(
            jobs.c.source_digest == digest,
            endpoints.c.base_url == base_url,
            jobs.c.state.in_([JobState.OPEN.value, JobState.COMPLETED.value]),
        )
        .order_by(jobs.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _job(row)


def by_path(connection: Connection, path: str, base_url: str, *, but_not: bytes) -> Job | None:
    """Return the newest job from the file at this path to this base URL when it had other content."""
    query = (
        _query()
        .where(
            jobs.c.source_path == path,
            jobs.c.source_digest != but_not,
            endpoints.c.base_url == base_url,
            jobs.c.state != JobState.SUBMITTING.value,
        )
        .order_by(jobs.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else _job(row)


def sources(connection: Connection) -> list[tuple[JobId, str]]:
    """Return the path of every job's file, as far as it is known."""
    query = select(jobs.c.id, jobs.c.source_path).where(jobs.c.source_path.is_not(None)).order_by(jobs.c.id.desc())
    return [(JobId(row.id), row.source_path) for row in connection.execute(query)]


def of_content(connection: Connection, digest: bytes) -> list[Job]:
    """Return every job from a file of this content, to whatever endpoint, newest first."""
    return _newest_first(connection, jobs.c.source_digest == digest)


def of_path(connection: Connection, path: str, *, but_not: bytes) -> list[Job]:
    """Return every job from the file at this path when it had other content, newest first."""
    return _newest_first(connection, and_(jobs.c.source_path == path, jobs.c.source_digest != but_not))


def _newest_first(connection: Connection, which: ColumnElement[bool]) -> list[Job]:
    query = _query().where(which, jobs.c.state != JobState.SUBMITTING.value).order_by(jobs.c.id.desc())
    return [_job(row) for row in connection.execute(query)]


def unfinished(connection: Connection) -> list[Job]:
    """Return every job with unsettled requests or unwritten results, oldest first."""
    unwritten = and_(jobs.c.state == JobState.COMPLETED.value, jobs.c.wanted != 0, jobs.c.output_path.is_not(None))
    query = _query().where(or_(jobs.c.state == JobState.OPEN.value, unwritten)).order_by(jobs.c.id)
    return [_job(row) for row in connection.execute(query)]


def routes_of(connection: Connection, job: Job) -> list[Route]:
    """Return the job's routes."""
    query = (
        select(routes.c.id, routes.c.path, routes.c.model).where(routes.c.job_id == job.id).order_by(routes.c.id)
    )
    return [
        Route(
            id=RouteId(row.id),
            job_id=job.id,
            path=row.path,
            model=row.model,
            endpoint_id=job.endpoint_id,
            cache_scope=job.cache_scope,
            reuse_earlier=job.settings.reuse_earlier,
            refuses=_refused_marks(job.settings),
        )
        for row in connection.execute(query)
    ]


def _refused_marks(settings: JobSettings) -> AnswerMark:
    """Return the marks of answers that the job would not have accepted from the provider either."""
    marks = AnswerMark(0)
    if settings.validate_output:
        marks |= AnswerMark.UNVALIDATED
    if settings.fail_truncated:
        marks |= AnswerMark.TRUNCATED
    return marks


def want_only(connection: Connection, wanted: Sequence[JobId]) -> None:
    """Set which jobs a new runner should run; what an earlier one was asked is forgotten."""
    is_open = jobs.c.state == JobState.OPEN.value
    connection.execute(update(jobs).values(wanted=0).where(jobs.c.wanted != 0, is_open))
    want(connection, wanted)


def want(connection: Connection, wanted: Iterable[JobId]) -> None:
    """Request these jobs in addition, of this runner or of a live one."""
    connection.execute(update(jobs).values(wanted=1).where(jobs.c.id.in_(list(wanted))))


def want_in_place(connection: Connection, wanted: Iterable[JobId]) -> None:
    """Request these jobs, and that the live runner hands over to the process that asks."""
    connection.execute(update(jobs).values(wanted=IN_PLACE).where(jobs.c.id.in_(list(wanted))))


def start(connection: Connection, job_id: JobId, *, now: int) -> None:
    """Record that a runner starts the job; one that was reopened is no longer finished."""
    started = func.coalesce(jobs.c.started_at, now)
    finished = case((jobs.c.state == JobState.OPEN.value, null()), else_=jobs.c.finished_at)
    values = {"started_at": started, "finished_at": finished}
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))


def add_active(connection: Connection, job_ids: Iterable[JobId], active_us: int) -> None:
    """Add working time to the jobs."""
    connection.execute(
        update(jobs).where(jobs.c.id.in_(list(job_ids))).values(active_us=jobs.c.active_us + active_us)
    )


def remember(
    connection: Connection, job_id: JobId, *, settings: JobSettings | None = None, output_path: str | None = None
) -> None:
    """Replace what the job remembers; a live runner adopts it within a second."""
    values: dict[str, Any] = {}
    if settings is not None:
        values["settings"] = msgspec.json.encode(settings).decode()
        values["key_name"] = settings.api_key_env
        if not _is_at(connection, job_id, settings):
            values["endpoint_id"] = endpoint(connection, settings.base_url)
        values["settings_version"] = jobs.c.settings_version + 1
    if output_path is not None:
        values["output_path"] = output_path
    if values:
        connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))


def _is_at(connection: Connection, job_id: JobId, settings: JobSettings) -> bool:
    """Return whether the job's endpoint stays. With other headers, the runner finds the scope of its answers."""
    job = get(connection, job_id)
    return job.base_url == settings.base_url and job.settings.headers == settings.headers


def place(connection: Connection, job: Job, answer_scope: str) -> bool:
    """Set which answers of its base URL the job may share; return whether that is another endpoint now."""
    endpoint_id = endpoint(connection, job.base_url, scope=answer_scope)
    if endpoint_id == job.endpoint_id:
        return False
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(endpoint_id=endpoint_id))
    return True


def finish(connection: Connection, job_ids: Iterable[JobId], *, now: int) -> list[JobId]:
    """Close those of the jobs whose requests are all settled; return them.

    They stay wanted until their results are written, so that a runner that is killed before that writes them
    later.
    """
    left = exists().where(routes.c.job_id == jobs.c.id, has_work(routes.c.id))
    done = (
        update(jobs)
        .where(jobs.c.id.in_(list(job_ids)), jobs.c.state == JobState.OPEN.value, ~left)
        .values(state=JobState.COMPLETED.value, finished_at=now)
        .returning(jobs.c.id)
    )
    return [JobId(row) for row in connection.execute(done).scalars()]


def reopen(connection: Connection, job_id: JobId) -> None:
    """Reopen the job after a redrive. If it was finished, no runner takes it until it is requested.

    `finished_at` stays until a runner starts the job again: until then it is pending and not interrupted.
    """
    still_wanted = case((jobs.c.state == JobState.OPEN.value, jobs.c.wanted), else_=0)
    connection.execute(
        update(jobs).where(jobs.c.id == job_id).values(state=JobState.OPEN.value, wanted=still_wanted)
    )


def written(connection: Connection, job_id: JobId) -> None:
    """Record that the results of a finished job are on disk."""
    connection.execute(
        update(jobs).where(jobs.c.id == job_id, jobs.c.state != JobState.OPEN.value).values(wanted=0)
    )


def cancel(connection: Connection, job: Job, *, now: int) -> int:
    """Cancel the job if it is open, and the pending requests of this part of it; those in flight finish.

    Returns how many requests were cancelled (see `id_range.parts`).
    """
    abandon(connection, job.id, now=now)
    pending = and_(within(job), requests.c.state == RequestState.PENDING.value)
    cancelled = connection.execute(
        update(requests).where(pending).values(state=RequestState.CANCELLED.value, settled_at=now)
    ).rowcount
    changes = CountChanges()
    changes.move_rows(job.id, cancelled, RequestState.PENDING, RequestState.CANCELLED)
    changes.write(connection)
    return cancelled


def is_half_cancelled(connection: Connection, job_id: JobId) -> bool:
    """Return whether the job is cancelled and has pending requests left: `cancel` still works, or was killed."""
    job = connection.execute(_query().where(jobs.c.id == job_id, jobs.c.state == JobState.CANCELLED.value)).first()
    if job is None:
        return False
    left = select(requests.c.id).where(within(_job(job)), requests.c.state == RequestState.PENDING.value).limit(1)
    return connection.execute(left).first() is not None


def abandon(connection: Connection, job_id: JobId, *, now: int) -> None:
    """Cancel the job itself if it is open, so that no runner starts it, and leave its requests as they are."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state == JobState.OPEN.value)
        .values(state=JobState.CANCELLED.value, finished_at=now, wanted=0)
    )


#: Requests removed per transaction, so that a runner in another process is not held up.
_REMOVED_AT_ONCE = 5_000


def delete_some(connection: Connection, job: Job) -> bool:
    """Remove a chunk of the job's requests; return whether more is left. The job goes with its last request.

    An answer that requests of other jobs share stays, and records which job asked first.
    """
    # From the first one on: by that, readers notice that a deletion has begun.
    ids = select(requests.c.id).where(within(job)).order_by(requests.c.id).limit(_REMOVED_AT_ONCE)
    found = connection.execute(ids).scalars().all()
    if found:
        remove_requests(connection, job.id, found)
        return True
    connection.execute(delete(pauses).where(pauses.c.scope == "job", pauses.c.ref == str(job.id)))
    of_routes = select(cast(routes.c.id, Text)).where(routes.c.job_id == job.id)
    connection.execute(delete(pauses).where(pauses.c.scope == "route", pauses.c.ref.in_(of_routes)))
    remove_job_row(connection, job.id)
    return False
