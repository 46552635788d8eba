"""Counts of each job, kept as its rows change, so that a status does not read every row.

They are filled from the rows and attempts of the jobs that are there. A job that was being loaded gets its counts
when it is shown. What is claimed has one index in place of two, so that a commit writes no more pages than before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATES = ("pending", "claimed", "completed", "dead_lettered", "cancelled")
_OF_ROWS = (*_STATES, "cached", "sends", "truncated", "empty", "unchecked")
_OF_ATTEMPTS = ("rate_limited", "never_sent", "input_tokens", "output_tokens")
#: The bits of `requests.marks`.
_MARKS = {"truncated": 1, "empty": 2, "unchecked": 4}

_COUNTED = ", ".join(
    (
        *(f"count(*) FILTER (WHERE state = '{state}')" for state in _STATES),
        "coalesce(sum(cached), 0)",
        "coalesce(sum(sends), 0)",
        *(f"count(*) FILTER (WHERE marks & {bit} != 0)" for bit in _MARKS.values()),
    )
)
_SUMMED = (
    "count(*) FILTER (WHERE kind = 'rate_limited'), count(*) FILTER (WHERE sent_at IS NULL AND kind != 'lost'),"
    " coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0)"
)
_SHOWN = "SELECT id FROM jobs WHERE state != 'submitting'"


def upgrade() -> None:
    op.drop_index("ix_requests_claimed", "requests")
    op.drop_index("ix_requests_in_flight", "requests")
    op.create_index(
        "ix_requests_in_flight", "requests", ["fingerprint"], sqlite_where=sa.text("state = 'claimed'")
    )
    _add_counts()


def _add_counts() -> None:
    op.create_table(
        "job_counts",
        sa.Column("job_id", sa.Integer(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False, server_default="0")
            for name in (*_OF_ROWS, *_OF_ATTEMPTS)
        ),
        sa.PrimaryKeyConstraint("job_id", "part", name="pk_job_counts"),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO job_counts (job_id, part, {', '.join(_OF_ROWS)})"  # noqa: S608 - our own names
        f" SELECT job_id, 0, {_COUNTED} FROM requests WHERE job_id IN ({_SHOWN}) GROUP BY job_id"
    )
    op.execute(
        f"UPDATE job_counts SET ({', '.join(_OF_ATTEMPTS)}) ="  # noqa: S608 - our own names
        f" (SELECT {_SUMMED} FROM attempts JOIN requests ON requests.id = attempts.request_id"
        " JOIN jobs ON jobs.id = job_counts.job_id"
        " WHERE attempts.request_id BETWEEN jobs.first_request AND jobs.last_request"
        " AND requests.job_id + 0 = job_counts.job_id)"
    )
