"""Let a route pause, for a failure that many rows share. SQLite cannot change a CHECK: the table is made again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCOPES = "scope IN ('endpoint', 'key', 'lane', 'route', 'job')"
_REASONS = "reason IN ('credentials', 'quota', 'spend_cap', 'endpoint', 'model', 'same_failure', 'format')"
_KEPT = "id, scope, ref, reason, message, fix, since, ended_at"


def upgrade() -> None:
    op.drop_index("ix_pauses_open", "pauses")
    op.rename_table("pauses", "former_pauses")
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
        sa.Column("failure", sa.Text()),
        sa.CheckConstraint(_SCOPES, name="scope"),
        sa.CheckConstraint(_REASONS, name="reason"),
    )
    op.execute(f"INSERT INTO pauses ({_KEPT}) SELECT {_KEPT} FROM former_pauses")  # noqa: S608 - our own names
    op.drop_table("former_pauses")
    op.create_index(
        "ix_pauses_open", "pauses", ["scope", "ref"], unique=True, sqlite_where=sa.text("ended_at IS NULL")
    )
