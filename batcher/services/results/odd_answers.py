"""Notes about answers that were delivered although something is odd about them: cut, empty, not validated."""

from batcher.domain.jobs import Job
from batcher.policy.output import odd_answers
from batcher.policy.tokens.estimate import maximum_field
from batcher.ports import Store
from batcher.store.reports import job_counts


def notes(database: Store, job: Job, *, truncated: int, empty: int, unchecked: int) -> list[str]:
    """Return a sentence for each kind, which names the parameter to raise as the job's own requests call it."""
    parameter = ""
    if truncated:
        with database.read() as connection:
            found = job_counts.first_truncated(connection, job)
        parameter = "" if found is None else odd_answers.parameter_for(found[0], maximum_field(found[1]))
    return odd_answers.notes(truncated=truncated, empty=empty, unchecked=unchecked, parameter=parameter)
