"""Lets other processes write between two chunks of a long change."""

import time
from typing import Final

#: Enough for another process to notice that the lock is free, and little beside a chunk.
_SECONDS: Final = 0.01


def let_others_write() -> None:
    """Wait a moment between two transactions, so that a process that asks for the lock now gets it."""
    time.sleep(_SECONDS)
