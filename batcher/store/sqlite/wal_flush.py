"""Flushes the write-ahead log in parallel with the commits, for a disk on which a flush takes longer than a batch.

SQLite flushes within COMMIT (`synchronous=FULL`) and writes nothing meanwhile. Without that (NORMAL) a commit is
visible at once, and on disk as soon as a flush of its log that began later has ended; several may run at once.
"""

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

#: This many in a row decide: one slow flush may be a checkpoint, or another process.
_LOOKED_AT: Final = 8
_SLOW_SECONDS: Final = 0.003
_QUICK_SECONDS: Final = 0.001
#: Flushes at once: each includes whatever was committed before it began.
FLUSHES: Final = 4


class DiskPace:
    """Whether a disk takes long to flush, judged by its last commits or flushes."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_LOOKED_AT)
        self.is_slow = False

    def add(self, seconds: float) -> None:
        """Add the seconds that the last one took."""
        self._last.append(seconds)
        if len(self._last) < _LOOKED_AT:
            return
        if self.is_slow:
            self.is_slow = max(self._last) > _QUICK_SECONDS
        else:
            self.is_slow = min(self._last) > _SLOW_SECONDS


def flush_log(store: Path) -> None:
    """Flush a store's log, if it has one. Raises OSError."""
    try:
        descriptor = os.open(_log_of(store), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _log_of(store: Path) -> Path:
    return store.with_name(f"{store.name}-wal")


def _sync(descriptor: int) -> None:
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


class LogFile:
    """The log of a store, by its own descriptors. Unlike the store's file, it has no locks of SQLite's.

    Each flush has its own descriptor: the system reports a failed write once to each that was open then.
    """

    def __init__(self, store: Path) -> None:
        self._path = _log_of(store)
        self._idle: list[int] = []

    def reserve(self, count: int) -> None:
        """Open descriptors for this many flushes at once: later, connections may have taken all there are.

        Raises OSError.
        """
        while len(self._idle) < count:
            self._idle.append(self._open())

    def flush(self) -> None:
        """Flush everything committed before. Raises OSError."""
        descriptor = self._take()
        try:
            _sync(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        self._idle.append(descriptor)

    def _take(self) -> int:
        """Return a descriptor of the present log. SQLite creates another when the last connection is closed."""
        with suppress(IndexError):
            while True:
                descriptor = self._idle.pop()
                if os.fstat(descriptor).st_nlink:
                    return descriptor
                os.close(descriptor)
        return self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the descriptors; nothing is being flushed."""
        while self._idle:
            os.close(self._idle.pop())
