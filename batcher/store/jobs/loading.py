"""Loads a job in chunks while it is `submitting` and invisible; the last transaction shows or removes it."""

from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, bindparam, insert, select, update

from batcher.domain.ids import EndpointId, JobId, RouteId
from batcher.domain.jobs import JobTotals
from batcher.domain.requests import BadLine, Line
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.policy.input.deduplication import repeated_id
from batcher.store.compiled import Compiled, CompiledInsert
from batcher.store.dialect import as_json_array, dialect_of, insert_new
from batcher.store.jobs import kept_counts, leaders
from batcher.store.jobs.leaders import Extent
from batcher.store.jobs.removal import remove_unsent
from batcher.store.schema import bodies, changes, endpoints, job_counts, jobs, rejected, requests, routes


class NewJob(Struct, frozen=True, kw_only=True):
    """A job as it is submitted, before its lines."""

    public_id: str
    name: str
    settings: JobSettings
    #: The file's name as people see it, and its path if it can be found again.
    source_name: str
    source_path: str | None
    source_digest: bytes
    output_path: str | None
    created_at: int
    #: Which answers of the base URL it may share: see `config.answer_scope`.
    answer_scope: str = ""


_REQUEST_COLUMNS = (
    "id",
    "job_id",
    "route_id",
    "line",
    "custom_id",
    "fingerprint",
    "size",
    "est_input",
    "est_output",
)
# Long statements: while SQLite works on one, Python parses the next lines; a short one would make it wait each
# time.
_BULKS = (3_000, 300, 30, 1)
_insert_requests = CompiledInsert(
    insert_new(requests, key=["job_id", "custom_id"]).values({name: bindparam(name) for name in _REQUEST_COLUMNS}),
    *_REQUEST_COLUMNS,
    bulks=_BULKS,
)
_insert_bodies = CompiledInsert(
    insert(bodies).values(request_id=bindparam("id"), body=bindparam("body")),
    "id",
    "body",
    bulks=_BULKS,
)
_route_of = Compiled(
    select(routes.c.id).where(
        routes.c.job_id == bindparam("job"),
        routes.c.path == bindparam("path"),
        routes.c.model == bindparam("model"),
    ),
    "job",
    "path",
    "model",
)
_line_of = Compiled(
    select(requests.c.id, requests.c.line).where(
        requests.c.job_id == bindparam("job"), requests.c.custom_id == bindparam("custom_id")
    ),
    "job",
    "custom_id",
)


def endpoint(connection: Connection, base_url: str, *, scope: str = "") -> EndpointId:
    """Return the endpoint's id; create it if it is new."""
    query = select(endpoints.c.id).where(endpoints.c.scope == scope, endpoints.c.base_url == base_url)
    found = connection.execute(query).scalar()
    if found is None:
        found = connection.execute(
            insert(endpoints).values(scope=scope, base_url=base_url).returning(endpoints.c.id)
        ).scalar_one()
    return EndpointId(found)


def begin(connection: Connection, job: NewJob) -> JobId:
    """Create the job, `submitting`."""
    values = {
        "public_id": job.public_id,
        "name": job.name,
        "state": JobState.SUBMITTING.value,
        "endpoint_id": endpoint(connection, job.settings.base_url, scope=job.answer_scope),
        "key_name": job.settings.api_key_env,
        "settings": msgspec.json.encode(job.settings).decode(),
        "source_name": job.source_name,
        "source_path": job.source_path,
        "source_digest": job.source_digest,
        "output_path": job.output_path,
        "created_at": job.created_at,
    }
    return JobId(connection.execute(insert(jobs).values(values).returning(jobs.c.id)).scalar_one())


class Routes:
    """The routes of one job, created as its lines name them."""

    def __init__(self, job_id: JobId) -> None:
        self._job_id = job_id

    def of(self, connection: Connection, lines: Sequence[Line]) -> dict[tuple[str, str], RouteId]:
        """Return the routes of these lines by (path, model); create those that are new.

        Read from the store again for each chunk, because a chunk that was rolled back took its new routes with it.
        """
        keys = dict.fromkeys((line.parsed.path, line.parsed.model) for line in lines)
        return {key: self._one(connection, *key) for key in keys}

    def _one(self, connection: Connection, path: str, model: str) -> RouteId:
        found = _route_of.scalar(connection, self._job_id, path, model)
        if found is None:
            values = {"job_id": self._job_id, "path": path, "model": model}
            found = connection.execute(insert(routes).values(values).returning(routes.c.id)).scalar_one()
        return RouteId(found)


def add(
    connection: Connection, job_id: JobId, known: Routes, lines: Sequence[Line], *, with_bodies: bool
) -> list[BadLine]:
    """Store a chunk in file order; return the lines whose custom_id an earlier line has, which are not stored.

    The unique index finds repeats, so no set in memory is needed. Without bodies it only looks for repeats: the
    job already has an invalid line and will be removed.
    """
    numbers = dialect_of(connection).next_ids(connection, requests, len(lines))
    ids = known.of(connection, lines)
    rows = [
        (
            id_,
            job_id,
            ids[parsed.path, parsed.model],
            parsed.line,
            parsed.custom_id,
            line.fingerprint,
            len(parsed.body),
            parsed.est_input,
            parsed.est_output,
        )
        for id_, line in zip(numbers, lines, strict=True)
        for parsed in (line.parsed,)
    ]
    repeated: dict[int, BadLine] = {}
    if _insert_requests.all(connection, rows) < len(rows):
        repeated = _repeats(connection, job_id, numbers, lines)
    if with_bodies:
        numbered = zip(numbers, lines, strict=True)
        _insert_bodies.all(connection, ((id_, each.parsed.body) for id_, each in numbered if id_ not in repeated))
    return list(repeated.values())


def _repeats(
    connection: Connection, job_id: JobId, numbers: Sequence[int], lines: Sequence[Line]
) -> dict[int, BadLine]:
    """Return the lines that were not stored, by the id they would have had."""
    bad = {}
    for id_, line in zip(numbers, lines, strict=True):
        parsed = line.parsed
        (first,) = _line_of.rows(connection, job_id, parsed.custom_id)
        if first.id != id_:
            bad[id_] = repeated_id(parsed, first=first.line)
    return bad


def add_rejected(connection: Connection, job_id: JobId, bad: Sequence[BadLine]) -> None:
    """Keep lines that `--skip-invalid` skipped, for the errors file."""
    rows = [
        {
            "job_id": job_id,
            "line": line.line,
            "custom_id": line.custom_id,
            "reason": line.reason,
            "text": line.text,
        }
        for line in bad
    ]
    if rows:
        connection.execute(insert(rejected), rows)


def open_job(connection: Connection, job_id: JobId, *, repeats: Collection[bytes] | None = None) -> int:
    """Choose the leaders of a small job and show it; return how many rows follow another (see `leaders.steps`)."""
    extent = leaders.extent(connection, job_id)
    followers = sum(step(connection) for step in leaders.steps(job_id, extent, repeats))
    show(connection, job_id, extent)
    return followers


def show(connection: Connection, job_id: JobId, extent: Extent) -> None:
    """Show the job, whose leaders are chosen. Its rows are counted from now on."""
    connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            state=JobState.OPEN.value, total=extent.total, first_request=extent.first, last_request=extent.last
        )
    )
    kept_counts.replace(connection, job_id, JobTotals(pending=extent.total))


def half_loaded(connection: Connection) -> list[JobId]:
    """Return jobs that are `submitting`: being loaded, or left by a loader that died."""
    query = select(jobs.c.id).where(jobs.c.state == JobState.SUBMITTING.value).order_by(jobs.c.id)
    return [JobId(row) for row in connection.execute(query).scalars()]


#: Rows removed per transaction, so that a runner in another process is not held up.
_REMOVED_AT_ONCE = 20_000


_state_of = Compiled(select(jobs.c.state).where(jobs.c.id == bindparam("job")), "job")


def remove_some(connection: Connection, job_id: JobId) -> bool:
    """Remove a chunk of a job that was never shown; return whether more is left. The last chunk takes the job.

    A job that is shown stays whole: its loader may have failed after the last commit had reached the disk, and
    others may be at work on its rows.
    """
    if _state_of.scalar(connection, job_id) != JobState.SUBMITTING.value:
        return False
    ids = select(requests.c.id).where(requests.c.job_id == job_id).limit(_REMOVED_AT_ONCE)
    found = connection.execute(ids).scalars().all()
    if found:
        remove_unsent(connection, as_json_array(found))
        return True
    remove_job_row(connection, job_id)
    return False


def remove_job_row(connection: Connection, job_id: JobId) -> None:
    """Remove a job that has no requests left, with its routes, rejected lines, counts and changes."""
    for table in (routes, rejected, changes, job_counts):
        connection.execute(table.delete().where(table.c.job_id == job_id))
    connection.execute(jobs.delete().where(jobs.c.id == job_id))


def release_number(connection: Connection, job_id: JobId) -> None:
    """Reuse the number of a refused and removed job, which no one has seen, unless a later job has begun."""
    if _state_of.scalar(connection, job_id) is None:
        dialect_of(connection).release_job_number(connection, job_id)
