"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _endpoints_and_lanes()
    _holders_and_pauses()
    _jobs()
    _responses()
    _requests()
    _indexes_of_requests()
    _bodies()
    _attempts()


def _endpoints_and_lanes() -> None:
    op.create_table(
        "store",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("program_version", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("scope", sa.Text(), server_default="", nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text()),
        sa.UniqueConstraint("scope", "base_url"),
    )
    op.create_table(
        "lanes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("endpoint_id", sa.Integer(), sa.ForeignKey("endpoints.id"), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text()),
        sa.Column("charge", sa.Text()),
        sa.Column("level", sa.Float()),
        sa.Column("cooling_until", sa.Integer()),
        sa.Column("day", sa.Text()),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.UniqueConstraint("endpoint_id", "key_name", "model"),
    )


def _holders_and_pauses() -> None:
    op.create_table(
        "holders",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer()),
        sa.Column("host", sa.Text()),
        sa.Column("boot", sa.Text()),
        sa.Column("started_at", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Integer()),
        sa.Column("snapshot", sa.Text()),
        sa.CheckConstraint("kind IN ('runner', 'provider_batch')", name="kind"),
    )
    op.create_table(
        "pauses",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fix", sa.Text(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.Integer()),
        sa.CheckConstraint("scope IN ('endpoint', 'key', 'lane', 'job')", name="scope"),
        sa.CheckConstraint("reason IN ('credentials', 'quota', 'spend_cap', 'endpoint', 'model')", name="reason"),
    )
    op.create_index(
        "ix_pauses_open", "pauses", ["scope", "ref"], unique=True, sqlite_where=sa.text("ended_at IS NULL")
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("public_id", sa.Text(), nullable=False, unique=True),
        sa.Column("scope", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("endpoint_id", sa.Integer(), sa.ForeignKey("endpoints.id"), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("settings_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("source_name", sa.Text(), nullable=False),
        sa.Column("source_path", sa.Text()),
        sa.Column("source_digest", sa.LargeBinary(), nullable=False),
        sa.Column("output_path", sa.Text()),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_request", sa.Integer()),
        sa.Column("last_request", sa.Integer()),
        sa.Column("metadata", sa.Text()),
        sa.Column("expires_at", sa.Integer()),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Integer()),
        sa.Column("finished_at", sa.Integer()),
        sa.Column("active_us", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("state IN ('submitting', 'open', 'completed', 'cancelled')", name="state"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_source", "jobs", ["source_digest", "endpoint_id"])
    op.create_table(
        "routes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.UniqueConstraint("job_id", "path", "model"),
    )
    op.create_table(
        "rejected",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("line", sa.Integer(), primary_key=True),
        sa.Column("custom_id", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )


def _responses() -> None:
    op.create_table(
        "responses",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("endpoint_id", sa.Integer(), sa.ForeignKey("endpoints.id"), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        sa.Column("origin_job", sa.Integer()),
        sa.Column("origin_custom_id", sa.Text()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("provider_request_id", sa.Text()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cost", sa.Float()),
        sa.Column("latency_us", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "cache",
        sa.Column("endpoint_id", sa.Integer(), sa.ForeignKey("endpoints.id"), primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary(16), primary_key=True),
        sa.Column("response_id", sa.Integer(), sa.ForeignKey("responses.id"), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("route_id", sa.Integer(), sa.ForeignKey("routes.id"), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("custom_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(16)),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("est_input", sa.Integer(), nullable=False),
        sa.Column("est_output", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("available_at", sa.Integer()),
        sa.Column("leader_id", sa.Integer(), sa.ForeignKey("requests.id")),
        sa.Column("holder_id", sa.Integer(), sa.ForeignKey("holders.id")),
        sa.Column("sends", sa.Integer(), server_default="0", nullable=False),
        sa.Column("spent", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lost", sa.Integer(), server_default="0", nullable=False),
        sa.Column("timeouts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("response_id", sa.Integer(), sa.ForeignKey("responses.id")),
        sa.Column("cached", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failure_kind", sa.Text()),
        sa.Column("failure_code", sa.Text()),
        sa.Column("settled_at", sa.Integer()),
        sa.CheckConstraint(
            "state IN ('pending', 'claimed', 'completed', 'dead_lettered', 'cancelled')", name="state"
        ),
        sa.CheckConstraint("(state = 'claimed') = (holder_id IS NOT NULL)", name="claimed_has_holder"),
        sa.CheckConstraint("(state = 'completed') = (response_id IS NOT NULL)", name="completed_has_response"),
        sa.CheckConstraint(
            "(state IN ('completed', 'dead_lettered', 'cancelled')) = (settled_at IS NOT NULL)",
            name="settled_is_terminal",
        ),
        sa.CheckConstraint(
            "(state = 'dead_lettered') <= (failure_code IS NOT NULL)", name="dead_letter_has_cause"
        ),
        sa.UniqueConstraint("job_id", "custom_id"),
        sqlite_autoincrement=True,
    )


def _indexes_of_requests() -> None:
    """Each holds only the rows that one question is about."""
    waiting = "state = 'pending' AND available_at IS {null} AND leader_id IS NULL AND lost < 3"
    partial = {
        "ix_requests_fresh": (["route_id", "id"], waiting.format(null="NULL")),
        "ix_requests_due": (["route_id", "available_at"], waiting.format(null="NOT NULL")),
        "ix_requests_suspect": (["route_id", "id"], "state = 'pending' AND leader_id IS NULL AND lost >= 3"),
        "ix_requests_claimed": (["holder_id"], "state = 'claimed'"),
        "ix_requests_in_flight": (["fingerprint"], "state = 'claimed' AND fingerprint IS NOT NULL"),
        "ix_requests_followers": (["leader_id"], "leader_id IS NOT NULL"),
        "ix_requests_dead": (["job_id", "id"], "state = 'dead_lettered'"),
    }
    for name, (columns, where) in partial.items():
        op.create_index(name, "requests", columns, sqlite_where=sa.text(where))


def _bodies() -> None:
    op.create_table(
        "bodies",
        sa.Column("request_id", sa.Integer(), sa.ForeignKey("requests.id"), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "former_bodies",
        sa.Column("request_id", sa.Integer(), sa.ForeignKey("requests.id"), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.Integer(), sa.ForeignKey("requests.id"), primary_key=True),
        sa.Column("send", sa.Integer(), primary_key=True),
        sa.Column("holder_id", sa.Integer(), sa.ForeignKey("holders.id"), nullable=False),
        sa.Column("lane_id", sa.Integer(), sa.ForeignKey("lanes.id")),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.Integer()),
        sa.Column("ended_at", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("message", sa.Text()),
        sa.Column("retry_after_us", sa.Integer()),
        sa.Column("provider_request_id", sa.Text()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cost", sa.Float()),
        sa.Column("reply", sa.LargeBinary()),
        sa.CheckConstraint(
            "kind IN ('success', 'rate_limited', 'transient', 'permanent', 'blocked', 'lost')", name="kind"
        ),
        sqlite_with_rowid=False,
    )
