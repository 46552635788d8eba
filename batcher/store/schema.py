"""The schema (docs/architecture.md#the-store). Times are integer microseconds UTC; CHECKs repeat the states.

Bodies are kept apart from the rows that change, so that a state change never rewrites a body. Request ids rise in
file order within a job; `jobs.first_request` and `last_request` bound them, so a job is a range of the table and
needs no index of its own.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
    func,
    text,
)

from batcher.domain.jobs import JobTotals
from batcher.domain.states import AttemptKind, JobState, PauseReason, PauseScope, RequestState

#: A request with which this many holders died runs last and alone.
SUSPECT_AFTER = 3
#: A value of `jobs.wanted`.
IN_PLACE = 2

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, words: type[AttemptKind | JobState | PauseReason | PauseScope | RequestState]) -> str:
    return f"{column} IN ({', '.join(repr(word.value) for word in words)})"


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows that meet a condition, which every engine spells alike."""
    return Index(name, *columns, unique=unique, info={"where": where})


@event.listens_for(metadata, "before_create")
def _give_conditions(_: MetaData, connection: Connection, **_options: object) -> None:
    """Give partial indexes their conditions in the option of the engine at hand: each has one of its own."""
    for index in (index for table in metadata.tables.values() for index in table.indexes if index.info):
        index.dialect_options[connection.dialect.name]["where"] = text(index.info["where"])


#: Conditions of the indexes of the claim: rows that wait for nothing, for their time, and that run last and alone.
_IN_ORDER = "state = 'pending' AND available_at IS NULL AND leader_id IS NULL"
_DUE = f"state = 'pending' AND available_at IS NOT NULL AND leader_id IS NULL AND lost < {SUSPECT_AFTER}"
_SUSPECT = f"state = 'pending' AND leader_id IS NULL AND lost >= {SUSPECT_AFTER}"

store = Table(
    "store",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("program_version", Text, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", Text, nullable=False, server_default=""),
    Column("base_url", Text, nullable=False),
    Column("profile", Text),
    # Whether it has ever answered a request.
    Column("answered", Integer, nullable=False, server_default="0"),
    # The endpoint whose answers it shares, by which the cache is keyed. NULL: its own.
    Column("cache_scope", Integer),
    UniqueConstraint("scope", "base_url"),
)

#: The scope of the answers of a row of `endpoints`.
cache_scope: ColumnElement[int] = func.coalesce(endpoints.c.cache_scope, endpoints.c.id)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("public_id", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False, server_default=""),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    # Whether a person wants it to run now: set by run and resume, read by the runner once a second. 1: by any
    # runner; `IN_PLACE`: by a process with other credentials, to which the live runner hands over.
    Column("wanted", Integer, nullable=False, server_default="0"),
    Column("endpoint_id", Integer, ForeignKey("endpoints.id"), nullable=False),
    Column("key_name", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("settings_version", Integer, nullable=False, server_default="1"),
    Column("source_name", Text, nullable=False),
    Column("source_path", Text),
    Column("source_digest", LargeBinary, nullable=False),
    Column("output_path", Text),
    Column("total", Integer, nullable=False, server_default="0"),
    Column("first_request", Integer),
    Column("last_request", Integer),
    Column("metadata", Text),
    Column("expires_at", Integer),
    Column("created_at", Integer, nullable=False),
    Column("started_at", Integer),
    Column("finished_at", Integer),
    # Microseconds during which a runner worked on it, over all runs.
    Column("active_us", Integer, nullable=False, server_default="0"),
    # US dollars: what its requests cost, what is held back for those that are claimed, and what of `cost` is only
    # assumed, because a reply never came. Nothing writes them yet: no price is known.
    Column("cost", Float, nullable=False, server_default="0"),
    Column("reserved", Float, nullable=False, server_default="0"),
    Column("assumed", Float, nullable=False, server_default="0"),
    CheckConstraint(_one_of("state", JobState), name="state"),
    Index("ix_jobs_source", "source_digest", "endpoint_id"),
    # A job's number is never reused, even after a delete, because scripts keep numbers.
    sqlite_autoincrement=True,
)

# What people changed of a job while it was there: its settings, a pause. Values are JSON; NULL: there was none.
# Nothing writes it yet.
changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("at", Integer, nullable=False),
    Column("what", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    # Who: `user@host`.
    Column("by", Text, nullable=False),
    # Why, if it was said.
    Column("reason", Text),
    Index("ix_changes_job_id", "job_id"),
)

routes = Table(
    "routes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("model", Text, nullable=False),
    UniqueConstraint("job_id", "path", "model"),
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("route_id", Integer, ForeignKey("routes.id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("custom_id", Text, nullable=False),
    # NULL: it shares its answer with no other row.
    Column("fingerprint", LargeBinary(16)),
    Column("size", Integer, nullable=False),
    Column("est_input", Integer, nullable=False),
    Column("est_output", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default=RequestState.PENDING.value),
    # NULL: it waits for nothing. Otherwise due at this time.
    Column("available_at", Integer),
    Column("leader_id", Integer, ForeignKey("requests.id")),
    Column("holder_id", Integer, ForeignKey("holders.id")),
    Column("sends", Integer, nullable=False, server_default="0"),
    # Of `sends`, those before the last redrive.
    Column("sends_before", Integer, nullable=False, server_default="0"),
    Column("spent", Integer, nullable=False, server_default="0"),
    Column("lost", Integer, nullable=False, server_default="0"),
    Column("timeouts", Integer, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="0"),
    Column("response_id", Integer, ForeignKey("responses.id")),
    # Answered without a request of its own.
    Column("cached", Integer, nullable=False, server_default="0"),
    Column("failure_kind", Text),
    Column("failure_code", Text),
    Column("settled_at", Integer),
    # What is odd about its answer: an `AnswerMark`.
    Column("marks", Integer, nullable=False, server_default="0"),
    # Set by whatever makes a row pending again: a release, a rescue, a redrive, a follower that leads now.
    Column("returned", Integer, nullable=False, server_default="0"),
    CheckConstraint(_one_of("state", RequestState), name="state"),
    CheckConstraint("(state = 'claimed') = (holder_id IS NOT NULL)", name="claimed_has_holder"),
    CheckConstraint("(state = 'completed') = (response_id IS NOT NULL)", name="completed_has_response"),
    CheckConstraint(
        "(state IN ('completed', 'dead_lettered', 'cancelled')) = (settled_at IS NOT NULL)",
        name="settled_is_terminal",
    ),
    CheckConstraint("(state = 'dead_lettered') <= (failure_code IS NOT NULL)", name="dead_letter_has_cause"),
    UniqueConstraint("job_id", "custom_id"),
    # A partial index for each arm of the claim: with one index by id, 200,000 waiting rows cost 29 ms per claim;
    # with these, 0.05.
    _partial("ix_requests_fresh", "route_id", "id", where=f"{_IN_ORDER} AND returned = 0"),
    _partial("ix_requests_returned", "route_id", "lost", "id", where=f"{_IN_ORDER} AND returned = 1"),
    _partial("ix_requests_due", "route_id", "available_at", where=_DUE),
    _partial("ix_requests_suspect", "route_id", "lost", "id", where=_SUSPECT),
    # All that is claimed, by fingerprint: few rows, so what a holder has needs no index of its own.
    _partial("ix_requests_in_flight", "fingerprint", where="state = 'claimed'"),
    # Followers that have not ended: a chunk of a million finds the next ones at once.
    _partial("ix_requests_followers", "leader_id", where="leader_id IS NOT NULL AND state = 'pending'"),
    # Which requests share an answer; needed when the job whose request was sent is deleted.
    _partial("ix_requests_sharing", "response_id", where="cached = 1"),
    _partial("ix_requests_dead", "job_id", "id", where="state = 'dead_lettered'"),
    # An id is never reused: responses and attempts name it after its job is deleted.
    sqlite_autoincrement=True,
)

# Leaders that have ended, and some of whose followers have not: they end in chunks (`store/queue/shared_ends.py`).
unshared_ends = Table(
    "unshared_ends",
    metadata,
    Column("leader_id", Integer, ForeignKey("requests.id"), primary_key=True),
)

bodies = Table(
    "bodies",
    metadata,
    Column("request_id", Integer, ForeignKey("requests.id"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# Bodies as they were before a redrive edited them.
former_bodies = Table(
    "former_bodies",
    metadata,
    Column("request_id", Integer, ForeignKey("requests.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

responses = Table(
    "responses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("endpoint_id", Integer, ForeignKey("endpoints.id"), nullable=False),
    # The request that was sent to get it.
    Column("request_id", Integer, nullable=False),
    # The first job that asked, recorded when that job is deleted and others still use the answer.
    Column("origin_job", Integer),
    Column("origin_custom_id", Text),
    Column("status", Integer, nullable=False),
    Column("provider_request_id", Text),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost", Float),
    Column("latency_us", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("cached_input_tokens", Integer),
    Column("cache_write_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("tier_sent", Text),
    Column("tier_billed", Text),
)

cache = Table(
    "cache",
    metadata,
    # The column had another name when the constraint was made.
    Column(
        "cache_scope", Integer, ForeignKey("endpoints.id", name="fk_cache_endpoint_id_endpoints"), primary_key=True
    ),
    Column("fingerprint", LargeBinary(16), primary_key=True),
    Column("response_id", Integer, ForeignKey("responses.id"), nullable=False),
    Column("created_at", Integer, nullable=False),
    # Of the answer, as in `requests`, and whether it was validated: here, because reading it must not touch the
    # answer's body.
    Column("marks", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", Integer, ForeignKey("requests.id"), primary_key=True),
    Column("send", Integer, primary_key=True),
    Column("holder_id", Integer, ForeignKey("holders.id"), nullable=False),
    Column("lane_id", Integer, ForeignKey("lanes.id")),
    Column("revision", Integer, nullable=False),
    # NULL: it was never sent (no connection), or it is unknown (lost).
    Column("sent_at", Integer),
    Column("ended_at", Integer, nullable=False),
    Column("status", Integer),
    Column("kind", Text, nullable=False),
    Column("code", Text),
    Column("message", Text),
    Column("retry_after_us", Integer),
    Column("provider_request_id", Text),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost", Float),
    Column("reply", LargeBinary),
    Column("cached_input_tokens", Integer),
    Column("cache_write_tokens", Integer),
    Column("reasoning_tokens", Integer),
    Column("tier_sent", Text),
    Column("tier_billed", Text),
    CheckConstraint(_one_of("kind", AttemptKind), name="kind"),
    sqlite_with_rowid=False,
)

lanes = Table(
    "lanes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("endpoint_id", Integer, ForeignKey("endpoints.id"), nullable=False),
    Column("key_name", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("limits", Text),
    Column("charge", Text),
    Column("level", Float),
    Column("cooling_until", Integer),
    Column("day", Text),
    Column("updated_at", Integer, nullable=False),
    # The service tier whose limits it keeps; "": the provider's default.
    Column("tier", Text, nullable=False, server_default=""),
    UniqueConstraint("endpoint_id", "key_name", "model", "tier"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", Text, nullable=False),
    # The id of what is paused: an endpoint, a lane, a route or a job; for a key, `endpoint_id:name`.
    Column("ref", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fix", Text, nullable=False),
    Column("since", Integer, nullable=False),
    Column("ended_at", Integer),
    # What failures have in common that a route paused for. Once the pause has ended, a person has confirmed it.
    Column("failure", Text),
    CheckConstraint(_one_of("scope", PauseScope), name="scope"),
    CheckConstraint(_one_of("reason", PauseReason), name="reason"),
    _partial("ix_pauses_open", "scope", "ref", unique=True, where="ended_at IS NULL"),
)

# A lane as its runner sees it, as JSON; the rest of what the runner shows is `holders.snapshot`.
lane_views = Table(
    "lane_views",
    metadata,
    Column("lane_id", Integer, ForeignKey("lanes.id"), primary_key=True),
    Column("holder_id", Integer, ForeignKey("holders.id"), nullable=False),
    Column("view", Text, nullable=False),
)

holders = Table(
    "holders",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("pid", Integer),
    Column("host", Text),
    # The boot of the machine: its id, and `@` with the microseconds UTC at which it began by the holder's clock.
    Column("boot", Text),
    Column("started_at", Integer, nullable=False),
    Column("heartbeat_at", Integer, nullable=False),
    Column("ended_at", Integer),
    Column("snapshot", Text),
    CheckConstraint("kind IN ('runner', 'provider_batch')", name="kind"),
)

# Kept as rows change (`store/jobs/kept_counts.py`). A count is the sum of its parts: each holder adds to its own,
# so that runners of one job do not wait for each other. 0 is the part of commands.
job_counts = Table(
    "job_counts",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("part", Integer, primary_key=True),
    *(Column(name, Integer, nullable=False, server_default="0") for name in JobTotals.__struct_fields__),
    sqlite_with_rowid=False,
)

rejected = Table(
    "rejected",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("custom_id", Text),
    Column("reason", Text, nullable=False),
    Column("text", Text, nullable=False),
)
