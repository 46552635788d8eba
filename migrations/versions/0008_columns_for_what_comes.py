"""Columns for money, tiers and changes; the cache is keyed by the scope of its answers; a lane has a tier.

Requests that are pending again are marked: they and those that were never claimed are two arms of the claim. The
new columns of answers and attempts stand at the end, so that no row is written again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KEY = ("endpoint_id", "key_name", "model", "tier")
_KEPT = "id, endpoint_id, key_name, model, limits, charge, level, cooling_until, day, updated_at"


def upgrade() -> None:
    for table in ("responses", "attempts"):
        for count in ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"):
            op.add_column(table, sa.Column(count, sa.Integer()))
        for tier in ("tier_sent", "tier_billed"):
            op.add_column(table, sa.Column(tier, sa.Text()))
    for amount in ("cost", "reserved", "assumed"):
        op.add_column("jobs", sa.Column(amount, sa.Float(), nullable=False, server_default="0"))
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
    )
    op.create_index("ix_changes_job_id", "changes", ["job_id"])
    # Until now every endpoint shared its own answers, so the key of an answer keeps its value.
    op.add_column("endpoints", sa.Column("cache_scope", sa.Integer()))
    op.execute("ALTER TABLE cache RENAME COLUMN endpoint_id TO cache_scope")
    _add_tier()
    _add_arms()


def _add_tier() -> None:
    """Make the table of lanes again: SQLite cannot change a unique constraint."""
    op.create_table(
        "lanes_with_tier",
        sa.Column("id", sa.Integer()),
        sa.Column("endpoint_id", sa.Integer(), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text()),
        sa.Column("charge", sa.Text()),
        sa.Column("level", sa.Float()),
        sa.Column("cooling_until", sa.Integer()),
        sa.Column("day", sa.Text()),
        sa.Column("updated_at", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_lanes"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_lanes_endpoint_id_endpoints"),
        sa.UniqueConstraint(*_KEY, name="uq_lanes_endpoint_id_key_name_model_tier"),
    )
    op.execute(f"INSERT INTO lanes_with_tier ({_KEPT}) SELECT {_KEPT} FROM lanes")  # noqa: S608 - our own names
    op.drop_table("lanes")
    op.rename_table("lanes_with_tier", "lanes")


def _add_arms() -> None:
    op.add_column("requests", sa.Column("returned", sa.Integer(), nullable=False, server_default="0"))
    # Only these are claimed elsewhere than fresh ones: after them.
    op.execute("UPDATE requests SET returned = 1 WHERE state = 'pending' AND lost > 0")
    op.drop_index("ix_requests_fresh", "requests")
    waits = "state = 'pending' AND available_at IS NULL AND leader_id IS NULL AND returned"
    op.create_index("ix_requests_fresh", "requests", ["route_id", "id"], sqlite_where=sa.text(f"{waits} = 0"))
    op.create_index(
        "ix_requests_returned", "requests", ["route_id", "lost", "id"], sqlite_where=sa.text(f"{waits} = 1")
    )
