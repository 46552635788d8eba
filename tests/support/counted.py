"""A job's counts, counted from its rows and attempts in plain SQL, and the counts that are kept: both by job."""

from collections.abc import Callable, Sequence
from typing import Any

STATES = ("pending", "claimed", "completed", "dead_lettered", "cancelled")
#: The bits of `requests.marks`.
MARKS = {"truncated": 1, "empty": 2, "unchecked": 4}
_OF_ROWS = {
    **{state: f"count(*) FILTER (WHERE state = '{state}')" for state in STATES},
    "cached": "sum(cached)",
    "sends": "sum(sends)",
    **{mark: f"count(*) FILTER (WHERE marks & {bit} != 0)" for mark, bit in MARKS.items()},
}
_OF_ATTEMPTS = {
    "rate_limited": "count(*) FILTER (WHERE kind = 'rate_limited')",
    "never_sent": "count(*) FILTER (WHERE attempts.sent_at IS NULL AND kind != 'lost')",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
}
NAMES = (*_OF_ROWS, *_OF_ATTEMPTS)
# The names are our own.
_ROWS = f"SELECT job_id, {', '.join(_OF_ROWS.values())} FROM requests GROUP BY job_id"  # noqa: S608
_ATTEMPTS = (
    f"SELECT job_id, {', '.join(_OF_ATTEMPTS.values())} FROM attempts"  # noqa: S608
    " JOIN requests ON requests.id = attempts.request_id GROUP BY job_id"
)
_KEPT = f"SELECT job_id, {', '.join(f'sum({name})' for name in NAMES)} FROM job_counts GROUP BY job_id"  # noqa: S608
_SHOWN = "SELECT id FROM jobs WHERE state != 'submitting'"

Count = dict[str, int]
#: Returns the rows of a query.
Ask = Callable[[str], Sequence[Any]]


def miscounted(ask: Ask) -> list[tuple[int, Count, Count]]:
    """The jobs whose kept counts are not those of their rows, each with those that differ: kept, and right."""
    rows, attempts, kept = (_by_job(ask, query) for query in (_ROWS, _ATTEMPTS, _KEPT))
    found = []
    for (job,) in ask(_SHOWN):
        there = (*rows.get(job, (0,) * len(_OF_ROWS)), *attempts.get(job, (0,) * len(_OF_ATTEMPTS)))
        said = kept.get(job, (0,) * len(NAMES))
        wrong = [number for number in range(len(NAMES)) if said[number] != there[number]]
        if wrong:
            found.append(
                (job, {NAMES[at]: said[at] for at in wrong}, {NAMES[at]: there[at] for at in wrong}),
            )
    return found


def _by_job(ask: Ask, query: str) -> dict[int, Sequence[Any]]:
    return {row[0]: row[1:] for row in ask(query)}
