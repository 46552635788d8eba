"""Record the sends before a redrive, and index the requests that share an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("sends_before", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_requests_sharing", "requests", ["response_id"], sqlite_where=sa.text("cached = 1"))
