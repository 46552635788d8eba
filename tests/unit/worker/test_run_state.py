"""Since when a lane is silent, how busy the busiest is, and what a job does in each of its phases."""

from collections.abc import Iterator
from typing import cast

import pytest

from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import PauseCause
from batcher.worker.job_phase import JobPhase, Remaining
from batcher.worker.run_state import JobRun, Lane, RouteRun, State


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


def job_run(phase: JobPhase, *, held: int, routes: str) -> JobRun:
    """A job with a route for each letter: open, dry or paused."""
    made = JobRun.__new__(JobRun)
    made.phase, made.held, made.routes = phase, held, []
    for letter in routes:
        route = RouteRun.__new__(RouteRun)
        route.lane = Lane.__new__(Lane)
        route.lane.pause = None
        route.dry, route.pause = letter == "d", cast("PauseCause", object()) if letter == "p" else None
        made.routes.append(route)
    return made


@pytest.mark.parametrize(
    ("held", "routes", "remaining"),
    [
        (1, "dd", Remaining.MORE),
        (0, "do", Remaining.MORE),
        (0, "po", Remaining.MORE),
        (0, "dp", Remaining.HELD_BACK),
        (0, "pp", Remaining.HELD_BACK),
        (0, "dd", Remaining.NOTHING),
    ],
)
def test_what_remains_of_a_job(held: int, routes: str, remaining: Remaining) -> None:
    assert job_run(JobPhase.WORKING, held=held, routes=routes).remaining is remaining


@pytest.mark.parametrize(
    ("phase", "held", "routes", "wanted", "paused"),
    [
        (JobPhase.WORKING, 0, "pp", True, False),
        (JobPhase.STUCK, 0, "dp", True, True),
        (JobPhase.STUCK, 0, "op", True, False),
        (JobPhase.STUCK, 1, "pp", True, False),
        (JobPhase.PAUSED, 0, "oo", False, True),
        (JobPhase.PAUSED, 1, "oo", False, False),
        (JobPhase.LEAVING, 0, "dd", False, False),
    ],
)
def test_what_a_job_does_in_a_phase(
    phase: JobPhase, held: int, routes: str, *, wanted: bool, paused: bool
) -> None:
    job = job_run(phase, held=held, routes=routes)
    assert (job.is_wanted, job.is_paused) == (wanted, paused)
