"""The operating system's advisory locks on open files (`flock`), which it releases however a process ends.

Not POSIX locks: these work in containers, and are not dropped when another descriptor of the file closes. A lock
belongs to the descriptor; closing the last copy of that releases it.
"""

import fcntl
from enum import IntEnum


class LockMode(IntEnum):
    """Who else may hold the lock."""

    #: Others that also share it.
    SHARED = fcntl.LOCK_SH
    #: No one.
    EXCLUSIVE = fcntl.LOCK_EX


def lock(descriptor: int, mode: LockMode = LockMode.EXCLUSIVE) -> None:
    """Take the lock, however long that takes. Raises OSError, also if the file system has no locks."""
    fcntl.flock(descriptor, mode)


def try_lock(descriptor: int, mode: LockMode = LockMode.EXCLUSIVE) -> bool:
    """Take the lock if it is free; return whether it was. Raises OSError, also if the file system has no locks."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Release the lock and keep the descriptor open."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
