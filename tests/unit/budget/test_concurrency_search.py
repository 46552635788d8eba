"""Which timeouts a queue at the server explains: those of requests that waited no longer than others by much."""

from types import SimpleNamespace
from typing import Any

import pytest

from batcher.budget.concurrency_search import ConcurrencySearch


def answer(search: ConcurrencySearch, latency: float) -> None:
    place: Any = SimpleNamespace(at=0.0, beside=1)
    search.answered(place, latency, is_full=False, paced=False)


@pytest.mark.parametrize(
    ("latencies", "in_flight", "explained"),
    [
        ([], 1, False),
        ([], 2, True),
        ([1.0] * 20, 9, False),
        ([9.0] * 20, 9, True),
        # In a queue that grows, the last two answers tell more than the mean of all.
        ([1.0, 1.0, 1.0, 2.0, 4.1], 9, True),
        # One answer that is long by itself is no queue.
        ([0.2] * 9 + [4.5], 9, False),
        # It has become quick again, but not for long.
        ([9.0] * 5 + [0.5], 9, True),
        ([9.0] * 5 + [0.5] * 12, 9, False),
    ],
)
def test_a_timeout_of_ten_seconds_is_explained_by_answers_that_take_a_quarter_of_it(
    latencies, in_flight, explained
):
    search = ConcurrencySearch(None)
    for latency in latencies:
        answer(search, latency)
    assert search.explains_timeout(10.0, in_flight) is explained
