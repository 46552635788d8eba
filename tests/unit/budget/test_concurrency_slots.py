"""Slots for what a person allows, and for what the descriptors of this process allow."""

import pytest

from batcher.budget.concurrency_slots import Slots


def lane() -> None:
    """A waiting lane."""


@pytest.mark.parametrize(
    ("most", "room", "bound"), [(None, None, None), (8, None, 8), (None, 20, 20), (8, 20, 8), (50, 20, 20)]
)
def test_the_smaller_bound_counts(most: int | None, room: int | None, bound: int | None) -> None:
    slots = Slots(most, room)
    assert slots.bound == bound
    for _ in range(min(bound or 100, 100)):
        assert slots.has_room(lane)
        slots.take()
    assert slots.has_room(lane) == (bound is None)


@pytest.mark.parametrize("room", [None, 100])
def test_without_a_descriptor_no_more_are_allowed_than_found_one(room: int | None) -> None:
    slots = Slots(None, room)
    for _ in range(50):
        slots.take()
    for _ in range(20):
        slots.give_back()
        slots.ran_out(1.0)
    assert slots.bound == 30
    assert not slots.has_room(lane)
    slots.give_back()
    assert slots.has_room(lane)


def test_one_request_is_always_allowed() -> None:
    slots = Slots(None, 10)
    slots.ran_out(1.0)
    assert slots.bound == 1
    assert slots.has_room(lane)


@pytest.mark.parametrize(("most", "room", "end"), [(None, 10, 10), (4, 10, 4), (4, None, 4), (None, None, 60)])
def test_the_bound_grows_again_with_answers_after_a_while(most: int | None, room: int | None, end: int) -> None:
    slots = Slots(most, room)
    slots.ran_out(100.0)
    slots.answered(104.0)
    assert slots.bound == 1
    for _ in range(59):
        slots.answered(106.0)
    assert slots.bound == end


def test_a_bound_that_never_failed_does_not_move() -> None:
    slots = Slots(None, 10)
    slots.answered(1e9)
    assert slots.bound == 10
