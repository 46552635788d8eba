"""How Python runs while much work goes by: threads change hands sooner, the collector comes by seldom."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

#: Objects more than were freed; Python's own 700 are those of twenty requests.
_COLLECT_AFTER: Final = 20_000


class _Before(Struct, frozen=True):
    """How the host program had it."""

    switch_seconds: float
    thresholds: tuple[int, int, int]
    freezes: bool


_lock = threading.Lock()
_inside = 0
_before: _Before | None = None


@contextmanager
def tuned_for_throughput(switch_seconds: float) -> Iterator[None]:
    """For the block: a thread that waits for its turn gets it after so many seconds, not after Python's own 5 ms.

    What is loaded by now stays, and requests are freed by their counts: there is next to nothing to collect. Of
    blocks within one another, or beside, in other threads, the first sets it and the last sets it back.
    """
    global _inside, _before  # noqa: PLW0603 - there is one interpreter
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = _set(switch_seconds)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _before is not None:
                _restore(_before)


def _set(switch_seconds: float) -> _Before:
    before = _Before(sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count() == 0)
    sys.setswitchinterval(switch_seconds)
    if before.thresholds[0]:
        gc.set_threshold(_COLLECT_AFTER)
    if before.freezes:
        # First: garbage that is frozen stays too, and what was loaded last may hold long bodies.
        gc.collect()
        gc.freeze()
    return before


def _restore(before: _Before) -> None:
    sys.setswitchinterval(before.switch_seconds)
    gc.set_threshold(*before.thresholds)
    if before.freezes:
        gc.unfreeze()
