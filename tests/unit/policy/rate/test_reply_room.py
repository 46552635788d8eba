"""The memory of replies is bounded by what has arrived and what is likely to."""

import pytest

from batcher.policy.rate.reply_room import ReplyRoom


def test_before_the_first_reply_nothing_is_known_and_all_may_be_sent() -> None:
    assert ReplyRoom(10).has_room(1_000)


@pytest.mark.parametrize("size", [1, 10, 25, 100])
def test_as_many_are_in_hand_as_fit_by_their_mean_size(size: int) -> None:
    room = ReplyRoom(100)
    room.arrived(size)
    room.committed(size)
    sent = 0
    while room.has_room(sent):
        sent += 1
    assert sent == max(1, 100 // size)


def test_what_waits_for_its_commit_takes_the_place_of_what_may_be_sent() -> None:
    room = ReplyRoom(100)
    for _ in range(8):
        room.arrived(10)
    assert [room.has_room(number) for number in (0, 1, 2)] == [True, True, False]
    room.committed(80)
    assert room.has_room(9)
    assert not room.has_room(10)


def test_a_reply_larger_than_the_bound_is_requested_alone() -> None:
    room = ReplyRoom(100)
    room.arrived(500)
    assert not room.has_room(0)
    room.committed(500)
    assert room.has_room(0)
    assert not room.has_room(1)


def test_rare_large_replies_hold_few_others_back() -> None:
    room = ReplyRoom(1_000)
    for number in range(1_000):
        size = 500 if number % 100 == 0 else 1
        room.arrived(size)
        room.committed(size)
    assert room.has_room(100)
