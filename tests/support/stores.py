"""A real store in a folder, jobs from short descriptions, and one holder that claims and settles."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import text

from batcher.domain.events import RequestsSettled
from batcher.domain.exchange import Reply
from batcher.domain.ids import HolderId, LaneId
from batcher.domain.jobs import Job, RunnerSnapshot
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import Usage
from batcher.domain.requests import BadLine, Claim, ClaimResult, Line, ParsedLine, Route, RouteDemand
from batcher.domain.settings import JobSettings
from batcher.domain.settlements import (
    AttemptRecord,
    Complete,
    DeadLetter,
    Decision,
    Release,
    Requeue,
    Settlement,
)
from batcher.domain.states import AnswerMark, AttemptKind
from batcher.policy.input.deduplication import fingerprint
from batcher.ports import Store
from batcher.store.jobs import jobs, loading
from batcher.store.queue import claim, lanes, runners, settle
from batcher.store.sqlite.database import Database
from tests.support.counted import miscounted

START = 1_700_000_000_000_000
SECOND = 1_000_000
BASE_URL = "http://127.0.0.1:8000/v1"
LANE = LaneId(1)
PLENTY = 1 << 30
#: What a runner shows that has nothing to do.
NOTHING_IN_HAND = RunnerSnapshot(jobs=[], in_flight=0, rates={}, outages=[])


@dataclass
class ManualClock:
    """Wall time that the test sets."""

    at: int = START

    def now(self) -> int:
        return self.at


@dataclass(frozen=True)
class Row:
    """A short description of a line of a job file. If no body is given, it has a unique one."""

    custom_id: str
    body: bytes | None = None
    model: str = "m"
    path: str = "/v1/chat/completions"
    #: Whether rows with the same body share its answer.
    shares: bool = True

    @property
    def bytes_(self) -> bytes:
        return self.body if self.body is not None else b'{"user": "%s"}' % self.custom_id.encode()


def rows_named(*custom_ids: str) -> list[Row]:
    return [Row(custom_id) for custom_id in custom_ids]


def numbered(count: int) -> list[Row]:
    return [Row(f"r{number}") for number in range(count)]


def line_of(row: Row, number: int) -> Line:
    parsed = ParsedLine(
        line=number,
        custom_id=row.custom_id,
        path=row.path,
        model=row.model,
        body=row.bytes_,
        est_input=10,
        est_output=20,
        deterministic=False,
    )
    return Line(parsed=parsed, fingerprint=fingerprint(row.path, row.bytes_) if row.shares else None)


def open_store(folder: Path, name: str = "batcher.db") -> Database:
    """Open a store of the newest schema that contains the lane `LANE`."""
    database = Database(folder / name)
    database.upgrade(now=START)
    with database.write() as connection:
        endpoint = loading.endpoint(connection, BASE_URL)
        lane = lanes.open_lane(connection, LaneKey(endpoint_id=endpoint, key_name="K", model="m"), now=START)
    assert lane.id == LANE
    return database


FORMER_STORES = Path(__file__).parent / "former_stores"
_FORMER_URL = "http://127.0.0.1:18471/v1"


def former_store(folder: Path, revision: str, *, base_url: str = _FORMER_URL) -> Path:
    """Make a store as an earlier release left it: job 1 is done, job 2 half done when its runner was killed.

    Results go to the folder.
    """
    dump = (FORMER_STORES / f"{revision}.sql").read_text(encoding="utf-8")
    place = folder / "batcher.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript(dump.replace(_FORMER_URL, base_url).replace("/somewhere", str(folder)))
    place.chmod(0o600)
    return place


def begin_job(database: Store, *, name: str = "job", base_url: str = BASE_URL, **settings: Any) -> Any:
    """Begin a job, which is `submitting`; return its id."""
    new = loading.NewJob(
        public_id=sha256(f"{name}{base_url}".encode()).hexdigest(),
        name=name,
        settings=JobSettings(base_url=base_url, **settings),
        source_name=f"{name}.jsonl",
        source_path=f"/somewhere/{name}.jsonl",
        source_digest=sha256(name.encode()).digest(),
        output_path=None,
        created_at=START,
    )
    with database.write() as connection:
        return loading.begin(connection, new)


def add_rows(
    database: Store, job_id: Any, rows: Sequence[Row], *, first_line: int = 1, with_bodies: bool = True
) -> list[BadLine]:
    """Add one chunk to a job, with lines numbered from `first_line`."""
    with database.write() as connection:
        lines = [line_of(row, number) for number, row in enumerate(rows, first_line)]
        return loading.add(connection, job_id, loading.Routes(job_id), lines, with_bodies=with_bodies)


def submit_rows(database: Store, rows: Sequence[Row], *, name: str = "job", **settings: Any) -> Job:
    """Submit a complete job, which is open and wanted."""
    job_id = begin_job(database, name=name, **settings)
    assert add_rows(database, job_id, rows) == []
    with database.write() as connection:
        loading.open_job(connection, job_id)
        jobs.want(connection, [job_id])
        return jobs.get(connection, job_id)


def job_now(database: Store, job: Job) -> Job:
    with database.read() as connection:
        return jobs.get(connection, job.id)


def routes_of(database: Store, *of: Job) -> list[Route]:
    with database.read() as connection:
        return [route for job in of for route in jobs.routes_of(connection, job)]


def wants(routes: Iterable[Route], most: int = 1000) -> list[RouteDemand]:
    return [RouteDemand(route=route, most=most) for route in routes]


def new_holder(database: Store, *, pid: int = 1, now: int = START) -> HolderId:
    with database.write() as connection:
        return runners.start(connection, pid=pid, host="here", boot=None, now=now)


def rescue(database: Store, *, now: int = START) -> int:
    with database.write() as connection:
        return runners.rescue(connection, now=now)


def cancel(database: Store, job: Job, *, now: int = START) -> int:
    with database.write() as connection:
        return jobs.cancel(connection, job, now=now)


def attempt_of(
    kind: AttemptKind,
    *,
    status: int | None = 200,
    code: str | None = None,
    message: str | None = None,
    ended_at: int = START,
    reply: bytes | None = None,
) -> AttemptRecord:
    return AttemptRecord(
        lane_id=LANE,
        sent_at=ended_at - 250_000,
        ended_at=ended_at,
        status=status,
        kind=kind,
        code=code,
        message=message,
        retry_after_us=None,
        provider_request_id="req_1",
        usage=Usage(input_tokens=3, output_tokens=4),
        reply=reply,
    )


def _settled(held: Claim, decision: Decision, attempt: AttemptRecord | None) -> Settlement:
    return Settlement(claim=held, decision=decision, attempt=attempt)


_UNMARKED = AnswerMark(0)


def completed(
    held: Claim, body: bytes = b'{"ok": 1}', *, at: int = START, marks: AnswerMark = _UNMARKED
) -> Settlement:
    reply = Reply(status=200, headers={}, body=body, sent_at=at - 250_000, ended_at=at, latency_us=250_000)
    usage = Usage(input_tokens=3, output_tokens=4)
    decision = Complete(reply=reply, usage=usage, provider_request_id="req_1", marks=marks)
    return _settled(held, decision, attempt_of(AttemptKind.SUCCESS, ended_at=at))


def requeued(
    held: Claim,
    available_at: int | None = None,
    *,
    uses_attempt: bool = True,
    timeout: bool = False,
    at: int = START,
) -> Settlement:
    kind = AttemptKind.TRANSIENT if uses_attempt else AttemptKind.RATE_LIMITED
    decision = Requeue(available_at=available_at, uses_attempt=uses_attempt, timeout=timeout)
    return _settled(held, decision, attempt_of(kind, status=429, code="busy", message="busy", ended_at=at))


def dead_lettered(
    held: Claim, code: str = "bad_request", *, at: int = START, reply: bytes = b'{"error": 1}', status: int = 400
) -> Settlement:
    attempt = attempt_of(
        AttemptKind.PERMANENT, status=status, code=code, message=f"it was {code}", ended_at=at, reply=reply
    )
    return _settled(held, DeadLetter(kind="permanent", code=code), attempt)


def released(held: Claim) -> Settlement:
    return _settled(held, Release(), None)


@dataclass
class Holder:
    """A minimal runner: claims and settles, each in its own transaction."""

    database: Store
    id: HolderId
    clock: ManualClock

    def claim(self, *of: Job, most: int = 1000, most_bytes: int = PLENTY, alone: bool = False) -> ClaimResult:
        wanted = wants(routes_of(self.database, *of), most)
        with self.database.write() as connection:
            return claim.claim(
                connection, wanted, holder=self.id, now=self.clock.at, most_bytes=most_bytes, alone=alone
            )

    def settle(self, *settlements: Settlement) -> list[RequestsSettled]:
        with self.database.write() as connection:
            return settle.settle(connection, settlements, holder=self.id, now=self.clock.at)


def holder_of(database: Store, clock: ManualClock | None = None) -> Holder:
    return Holder(database, new_holder(database), clock or ManualClock())


def stored(database: Store, job: Job | None = None) -> dict[str, Any]:
    """Return the current rows of `requests` by custom_id, of one job or of all."""
    with database.read() as connection:
        found = connection.execute(text("SELECT * FROM requests ORDER BY id")).mappings()
        return {row["custom_id"]: row for row in found if job is None or row["job_id"] == job.id}


def states(database: Store, job: Job | None = None) -> dict[str, str]:
    return {custom_id: row["state"] for custom_id, row in stored(database, job).items()}


def table(database: Store, name: str) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(text(f"SELECT * FROM {name}")).mappings())  # noqa: S608 - our own tables


def change(database: Store, statement: str, **values: Any) -> int:
    """Change rows past every operation, as no one does; return how many."""
    with database.write() as connection:
        return connection.execute(text(statement), values).rowcount


def wrong_counts(database: Store) -> list[Any]:
    """Return the jobs whose kept counts are not those of their rows (see `counted.miscounted`)."""
    with database.read() as connection:
        return miscounted(lambda query: connection.execute(text(query)).all())


def names(claims: Iterable[Claim]) -> list[str]:
    return [each.custom_id for each in claims]
