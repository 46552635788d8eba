"""Since when a lane is silent, and how busy the busiest is."""

from collections.abc import Iterator
from typing import cast

import pytest

from batcher.domain.lanes import LaneKey
from batcher.worker.run_state import Lane, State


def lane(failing_since: float | None, named_wait: tuple[float, float]) -> Lane:
    made = Lane.__new__(Lane)
    made.failing_since, made.named_wait = failing_since, named_wait
    return made


@pytest.mark.parametrize(
    ("failing_since", "named_wait", "since"),
    [
        (None, (500.0, 400.0), None),
        (100.0, (float("-inf"), 0.0), 100.0),
        (100.0, (101.0, 1.0), 100.0),
        (100.0, (124.0, 24.0), 100.0),
        (100.0, (125.0, 25.0), 125.0),
        (100.0, (7300.0, 7200.0), 7300.0),
        (100.0, (50.0, 40.0), 100.0),
    ],
)
def test_since_when_it_is_silent(failing_since, named_wait, since):
    assert lane(failing_since, named_wait).silent_since(100.0) == since


class CountedLanes(dict[int, Lane]):
    """Lanes that count how many of them were looked at."""

    looks = 0

    def values(self) -> Iterator[Lane]:  # type: ignore[override]  # an iterator is enough for the reader
        for each in super().values():
            self.looks += 1
            yield each


def busy(lanes: int) -> tuple[State, CountedLanes]:
    state, counted = State(), CountedLanes()
    for number in range(lanes):
        counted[number] = made = Lane.__new__(Lane)
        made.recent_in_flight = 0.0
    state.lanes = cast("dict[LaneKey, Lane]", counted)
    return state, counted


@pytest.mark.parametrize("lanes", [0, 1, 7])
def test_with_few_lanes_the_busiest_is_known_at_once(lanes):
    state, counted = busy(lanes)
    for level in (3.4, 9.6, 1.0):
        for each in dict.values(counted):
            each.recent_in_flight = level
        assert state.recent_in_flight() == (round(level) if lanes else 0)


@pytest.mark.parametrize("lanes", [8, 1_000, 10_000])
def test_with_many_lanes_a_question_looks_at_a_few(lanes):
    state, counted = busy(lanes)
    questions = 2 * lanes
    for _ in range(questions):
        state.recent_in_flight()
    assert counted.looks <= 9 * questions
    counted[0].recent_in_flight = 30.0
    assert 30 in {state.recent_in_flight() for _ in range(lanes // 8 + 1)}
