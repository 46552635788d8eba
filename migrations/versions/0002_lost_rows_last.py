"""Claim rows whose holders died after all other rows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _remake("ix_requests_fresh", "state = 'pending' AND available_at IS NULL AND leader_id IS NULL AND lost < 3")
    _remake("ix_requests_suspect", "state = 'pending' AND leader_id IS NULL AND lost >= 3")


def _remake(name: str, which: str) -> None:
    op.drop_index(name, "requests")
    op.create_index(name, "requests", ["route_id", "lost", "id"], sqlite_where=sa.text(which))
