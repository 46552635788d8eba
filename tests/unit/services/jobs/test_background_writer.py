"""Work done in a second thread: in order, one piece at a time; errors are raised; nothing starts afterwards."""

import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from batcher.services.jobs.background_writer import BackgroundWriter


def wait_for(gate: threading.Event) -> None:
    assert gate.wait(5)


def give_all(*pieces: Callable[[], None], leaving: BaseException | None = None) -> None:
    with BackgroundWriter() as writer:
        for piece in pieces:
            writer.submit(piece)
        if leaving is not None:
            raise leaving


def fail() -> None:
    raise OSError("the disk is full")


def test_pieces_are_done_in_order_in_another_thread():
    numbers: list[int] = []
    threads: set[int] = set()

    def work(number: int) -> None:
        numbers.append(number)
        threads.add(threading.get_ident())

    with BackgroundWriter() as writer:
        for number in range(5):
            writer.submit(partial(work, number))
    assert numbers == [0, 1, 2, 3, 4]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_only_one_piece_is_under_way_and_the_next_waits_to_be_given():
    gate, given = threading.Event(), threading.Event()

    def give_two(writer: BackgroundWriter) -> None:
        writer.submit(lambda: wait_for(gate))
        writer.submit(lambda: None)
        given.set()

    with BackgroundWriter() as writer:
        giver = threading.Thread(target=give_two, args=(writer,))
        giver.start()
        assert not given.wait(0.05)
        gate.set()
        assert given.wait(5)
        giver.join()


def test_an_error_is_raised_where_the_next_piece_is_given_and_that_one_never_begins():
    begun: list[str] = []
    with pytest.raises(OSError, match="the disk is full"):
        give_all(fail, lambda: begun.append("second"))
    assert begun == []


def test_an_error_of_the_last_piece_is_raised_at_the_end():
    with pytest.raises(OSError, match="the disk is full"):
        give_all(fail)


def test_left_by_an_interrupt_it_lets_what_is_under_way_end_first():
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        wait_for(gate)
        done.set()

    threading.Timer(0.05, gate.set).start()
    with pytest.raises(KeyboardInterrupt):
        give_all(work, leaving=KeyboardInterrupt())
    assert done.is_set()


def test_threads_change_hands_as_before_once_it_is_left():
    usual = sys.getswitchinterval()
    with BackgroundWriter():
        assert sys.getswitchinterval() < usual
    assert sys.getswitchinterval() == usual
