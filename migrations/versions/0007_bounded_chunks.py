"""Let followers end in chunks; keep whether an endpoint has answered, and what a runner shows of each lane."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unshared_ends",
        sa.Column("leader_id", sa.Integer(), sa.ForeignKey("requests.id"), primary_key=True),
    )
    op.create_table(
        "lane_views",
        sa.Column("lane_id", sa.Integer(), sa.ForeignKey("lanes.id"), primary_key=True),
        sa.Column("holder_id", sa.Integer(), sa.ForeignKey("holders.id"), nullable=False),
        sa.Column("view", sa.Text(), nullable=False),
    )
    op.drop_index("ix_requests_followers", "requests")
    op.create_index(
        "ix_requests_followers",
        "requests",
        ["leader_id"],
        sqlite_where=sa.text("leader_id IS NOT NULL AND state = 'pending'"),
    )
    op.add_column("endpoints", sa.Column("answered", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        """
        UPDATE endpoints SET answered = 1
        WHERE EXISTS (SELECT 1 FROM cache WHERE cache.endpoint_id = endpoints.id)
            OR EXISTS (
                SELECT 1
                FROM jobs
                JOIN requests ON requests.id BETWEEN jobs.first_request AND jobs.last_request
                    AND requests.job_id + 0 = jobs.id
                JOIN responses ON responses.id = requests.response_id
                WHERE jobs.endpoint_id = endpoints.id AND responses.endpoint_id = endpoints.id
            )
        """
    )
