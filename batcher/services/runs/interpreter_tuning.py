"""Python settings for throughput: a shorter thread switch interval and a rarer garbage collection."""

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

#: Net allocations before a collection. Python's default of 700 is reached by twenty requests.
_COLLECT_AFTER: Final = 20_000


class _Before(Struct, frozen=True):
    """The host program's settings, restored at the end."""

    switch_seconds: float
    thresholds: tuple[int, int, int]
    freezes: bool


_lock = threading.Lock()
_inside = 0
_before: _Before | None = None


@contextmanager
def tuned_for_throughput(switch_seconds: float) -> Iterator[None]:
    """For the block, set the thread switch interval (Python's default is 5 ms) and collect garbage rarely.

    Everything loaded so far is frozen, and requests are freed by reference counts, so there is almost nothing to
    collect. If blocks are nested, or run at the same time in other threads, the first one sets the values and the
    last one restores them.
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
        # Collect first: frozen garbage is never freed, and what was loaded last may hold long bodies.
        gc.collect()
        gc.freeze()
    return before


def _restore(before: _Before) -> None:
    sys.setswitchinterval(before.switch_seconds)
    gc.set_threshold(*before.thresholds)
    if before.freezes:
        gc.unfreeze()
