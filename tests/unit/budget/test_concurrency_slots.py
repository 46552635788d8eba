"""Slots for what a person allows, and for what the descriptors of this process allow."""

import functools

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


@pytest.mark.parametrize("freed", [1, 3])
def test_a_slot_that_is_free_again_wakes_as_many_lanes_as_can_use_one(freed: int) -> None:
    slots = Slots(None, 10)
    woken: list[int] = []
    waiting = [functools.partial(woken.append, number) for number in range(1_000)]
    for _ in range(10):
        slots.take()
    for each in waiting:
        assert not slots.has_room(each)
        slots.queue_up(each)
    for _ in range(freed):
        slots.give_back()
    assert set(woken) == set(range(freed))
    assert [number for number in range(1_000) if slots.has_room(waiting[number])] == list(range(freed))
    assert not slots.has_room(lane), "those that wait come first"


def test_a_lane_that_needs_its_turn_no_longer_leaves_it_to_the_next() -> None:
    slots = Slots(1)
    woken: list[int] = []
    waiting = [functools.partial(woken.append, number) for number in range(3)]
    slots.take()
    for each in waiting:
        slots.queue_up(each)
    slots.give_back()
    slots.leave(waiting[0])
    assert woken == [0, 1]
    assert slots.has_room(waiting[1])
    slots.take()
    slots.leave(waiting[1])
    assert woken == [0, 1]
    slots.give_back()
    assert woken == [0, 1, 2]
