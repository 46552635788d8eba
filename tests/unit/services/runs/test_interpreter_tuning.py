"""A host program's own settings of the interpreter come back, whoever leaves last."""

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from batcher.services.runs.interpreter_tuning import tuned_for_throughput


def settings() -> tuple[float, tuple[int, int, int], bool]:
    return sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count() > 0


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    interval, thresholds, _ = settings()
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_a_block_sets_all_and_sets_all_back():
    before = settings()
    with tuned_for_throughput(1e-4):
        interval, thresholds, frozen = settings()
        assert interval == pytest.approx(1e-4)
        assert thresholds[0] == 20_000
        assert frozen
    assert settings() == before


def test_of_blocks_that_overlap_the_last_one_left_sets_back():
    before = settings()
    first, second = ExitStack(), ExitStack()
    first.enter_context(tuned_for_throughput(1e-4))
    inside = settings()
    second.enter_context(tuned_for_throughput(5e-4))
    assert settings() == inside
    first.close()
    assert settings() == inside
    second.close()
    assert settings() == before


def test_what_the_host_froze_stays_frozen():
    gc.freeze()
    before = settings()
    with tuned_for_throughput(1e-4):
        pass
    assert settings() == before


def test_a_collector_that_is_off_stays_off():
    gc.set_threshold(0)
    with tuned_for_throughput(1e-4):
        assert gc.get_threshold()[0] == 0


def test_an_error_leaves_nothing_behind():
    before = settings()
    with pytest.raises(KeyboardInterrupt), tuned_for_throughput(1e-4):
        raise KeyboardInterrupt
    assert settings() == before
