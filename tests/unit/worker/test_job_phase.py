"""The phases of a job at work: a complete table, and what a job may do in each."""

import pytest

from batcher.worker.job_phase import TRANSITIONS, JobEvent, JobPhase

WORKING, PAUSED, STUCK, LEAVING = JobPhase.WORKING, JobPhase.PAUSED, JobPhase.STUCK, JobPhase.LEAVING


def test_every_event_is_possible_in_every_phase() -> None:
    assert set(TRANSITIONS) == set(JobEvent)
    for event, table in TRANSITIONS.items():
        assert set(table) == set(JobPhase), event


@pytest.mark.parametrize(
    ("event", "after"),
    [
        (JobEvent.STARTED, [WORKING, WORKING, WORKING, WORKING]),
        (JobEvent.PAUSED, [PAUSED, PAUSED, PAUSED, LEAVING]),
        (JobEvent.NOTHING_CLAIMED, [STUCK, PAUSED, STUCK, LEAVING]),
        (JobEvent.NOT_HELD_BACK, [WORKING, PAUSED, WORKING, LEAVING]),
        (JobEvent.CLAIMED, [WORKING, PAUSED, WORKING, LEAVING]),
        (JobEvent.DROPPED, [LEAVING, LEAVING, LEAVING, LEAVING]),
    ],
)
def test_what_an_event_changes(event: JobEvent, after: list[JobPhase]) -> None:
    assert [TRANSITIONS[event][phase] for phase in (WORKING, PAUSED, STUCK, LEAVING)] == after


def test_only_a_person_ends_a_pause_and_brings_back_what_leaves() -> None:
    for phase in (PAUSED, LEAVING):
        out = {event for event in JobEvent if TRANSITIONS[event][phase] not in (phase, LEAVING)}
        assert out == {JobEvent.STARTED}
