"""How Python runs while much work goes by: threads change hands sooner, the collector comes by seldom."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Objects more than were freed; Python's own 700 are those of twenty requests.
_COLLECT_AFTER: Final = 20_000


@contextmanager
def busy(switch_seconds: float) -> Iterator[None]:
    """For the block: a thread that waits for its turn gets it after so many seconds, not after Python's own 5 ms.

    What is loaded by now stays, and requests are freed by their counts: there is next to nothing to collect.
    """
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(switch_seconds)
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
