"""Note what is odd about an answer: truncated, empty, unchecked."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("requests", "cache"):
        op.add_column(table, sa.Column("marks", sa.Integer, nullable=False, server_default="0"))
