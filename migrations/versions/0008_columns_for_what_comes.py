"""Mark requests that are pending again: they and those that were never claimed are two arms of the claim."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _add_arms()


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
