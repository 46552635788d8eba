"""Mark cached answers whose request asks for a format and whose job validated nothing.

Jobs without the setting are older than validation. Data alone: the mark (8) is `AnswerMark.UNVALIDATED`.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        UPDATE cache SET marks = marks | 8
        FROM (
            SELECT responses.id, responses.endpoint_id, requests.fingerprint
            FROM jobs
            JOIN requests ON requests.id BETWEEN jobs.first_request AND jobs.last_request
                AND requests.job_id = jobs.id
            JOIN bodies ON bodies.request_id = requests.id
            JOIN responses ON responses.id = requests.response_id AND responses.request_id = requests.id
            WHERE coalesce(json_extract(jobs.settings, '$.validate_output'), 0) = 0
                AND requests.fingerprint IS NOT NULL
                AND (instr(bodies.body, '"response_format"') OR instr(bodies.body, '"format"'))
        ) AS found
        WHERE cache.endpoint_id = found.endpoint_id
            AND cache.fingerprint = found.fingerprint
            AND cache.response_id = found.id
        """
    )
