"""Lets other processes write between two chunks of a long change."""

import time
from typing import Final

#: Enough for another process to notice that the lock is free.
_REST_SECONDS: Final = 0.01
#: How long chunks follow each other without a rest: others wait as long at most, and a rest is little beside it.
_WORK_SECONDS: Final = 0.1


class _Turns:
    """When this process last left the store to others."""

    def __init__(self) -> None:
        self._rested = time.monotonic()

    def rest(self) -> None:
        if time.monotonic() - self._rested >= _WORK_SECONDS:
            time.sleep(_REST_SECONDS)
            self._rested = time.monotonic()


_turns: Final = _Turns()


def let_others_write() -> None:
    """Wait a moment between two transactions, so that a process that asks for the lock now gets it.

    Chunks that take little time follow each other, and the wait comes after several of them.
    """
    _turns.rest()
