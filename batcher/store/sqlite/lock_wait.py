"""Waits for a lock that another process holds, with a message after some seconds and, for commands, with a limit.

A process that is stopped (Ctrl-Z, a debugger) during a write keeps the lock for as long as it is stopped. A runner
waits as long as the holder lives: the system releases the lock with the process, and what the runner has in hand
would be lost with it.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from batcher.domain.errors import StoreError
from batcher.domain.messages import Cause
from batcher.os_locks import LockMode, lock
from batcher.processes import is_stopped
from batcher.store.sqlite import forks

#: Seconds. No transaction of ours takes that long on a healthy disk.
WORD_AFTER_SECONDS = 5.0
GIVE_UP_AFTER_SECONDS = 60.0
#: How often one that does not give up repeats its message.
REPEAT_AFTER_SECONDS = 60.0

FREE_SOME = "free some space, then try again: nothing that was finished is lost"
WRITABLE: Final = Cause.FOLDER_WRITABLE()

_log = logging.getLogger("batcher")


class WaitEnded(Exception):
    """A wait was given up."""


def open_side_file(path: Path) -> int:
    """Return a descriptor of the side file; create it if there is none. Raises StoreError."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"cannot open {path}, which is kept beside the store: {error.strerror}",
            hint=FREE_SOME if error.errno in {errno.ENOSPC, errno.EDQUOT} else WRITABLE,
        ) from error


class Turn:
    """A place in the system's queue for a lock, held by a thread of its own, because such a lock has no timeout.

    It has its own descriptor: if no one waits any more when its turn comes, closing it releases the lock.
    """

    def __init__(self, path: Path, mode: LockMode) -> None:
        self.descriptor = open_side_file(path)
        self._mutex = threading.Lock()
        #: Set when the turn has come, and when there is no point in waiting any more.
        self._woken = threading.Event()
        self._has_come = False
        self._left = False
        forks.watch(self)
        threading.Thread(target=self._queue_up, args=(mode,), name="batcher-lock", daemon=True).start()

    def _queue_up(self, mode: LockMode) -> None:
        lock(self.descriptor, mode)
        with self._mutex:
            if self._left:
                self._close()
            else:
                self._has_come = True
                self._woken.set()

    def comes(self, within: float) -> bool:
        """Return whether the lock is ours within `within` seconds. Raises `WaitEnded` after `give_up`."""
        self._woken.wait(within)
        with self._mutex:
            if self._has_come:
                return True
            if self._woken.is_set():
                raise WaitEnded
            return False

    def give_up(self) -> None:
        """End the wait, from any thread."""
        self._woken.set()

    def leave(self) -> None:
        """Leave the queue and release the lock."""
        with self._mutex:
            self._left = True
            if self._has_come:
                self._close()

    def take(self) -> int:
        """Return the descriptor, which now belongs to the caller."""
        with self._mutex:
            descriptor, self.descriptor = self.descriptor, -1
            return descriptor

    def after_fork(self) -> None:
        """See `forks.Inherited`: only the parent has the thread that waits."""
        self._mutex = threading.Lock()
        self._close()

    def _close(self) -> None:
        if self.descriptor >= 0:
            with suppress(OSError):
                os.close(self.descriptor)
            self.descriptor = -1


def wait_for(turn: Turn, path: Path, holder: Callable[[], int | None], *, patient: bool = False) -> int:
    """Return a descriptor that holds the lock; after 5 s the log names the holder.

    Raises StoreError if the turn is given up, and after 60 s, unless it is `patient`: then it waits as long as the
    holder lives. `holder` reads the pid that the holder wrote.
    """
    try:
        if not turn.comes(WORD_AFTER_SECONDS):
            _warn(path, holder)
            _wait_longer(turn, path, holder, patient=patient)
        return turn.take()
    except WaitEnded:
        turn.leave()
        pid = _holder_of(path, holder)
        message = f"stopped while waiting for the store: {_named(pid)} is writing to it"
        raise StoreError(message, hint=_advice(pid, path)) from None
    except BaseException:
        # Also if a signal arrived while we waited.
        turn.leave()
        raise


def _warn(path: Path, holder: Callable[[], int | None]) -> None:
    pid = _holder_of(path, holder)
    _log.warning("waiting for the store: %s is writing to it; %s", _named(pid), _advice(pid, path))


def _wait_longer(turn: Turn, path: Path, holder: Callable[[], int | None], *, patient: bool) -> None:
    while patient:
        if turn.comes(REPEAT_AFTER_SECONDS):
            return
        _warn(path, holder)
    if turn.comes(GIVE_UP_AFTER_SECONDS - WORD_AFTER_SECONDS):
        return
    pid = _holder_of(path, holder)
    message = f"the store cannot be written: {_named(pid)} has been writing to it for {GIVE_UP_AFTER_SECONDS:g} s"
    raise StoreError(message, hint=_advice(pid, path))


def _holder_of(path: Path, noted: Callable[[], int | None]) -> int | None:
    """Return the pid of the holder: what the system says, since the note may be out of date; None: unknown."""
    pid = noted()
    if pid is None:
        return None
    pid = _pid_by_system(path) or pid
    return None if pid == os.getpid() else pid


def _pid_by_system(path: Path) -> int | None:
    """Return which process holds a `flock` of the file; None if the system does not say (other than Linux)."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        # `1: FLOCK ADVISORY WRITE 6810 fe:00:1234 0 EOF`; a waiter has an arrow after the number.
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):  # noqa: PLR2004
            return int(fields[4]) if fields[4].isdigit() and fields[4] != "0" else None
    return None


def _named(pid: int | None) -> str:
    if pid is None:
        return "another process"
    return f"another process (pid {pid}, which is stopped)" if is_stopped(pid) else f"another process (pid {pid})"


def _advice(pid: int | None, path: Path) -> str:
    if pid is None:
        return f"`fuser {path}` shows which; let it end, or end it: nothing that is stored is lost"
    if is_stopped(pid):
        return f"`kill -CONT {pid}` wakes it, `kill -KILL {pid}` ends it: nothing that is stored is lost"
    return f"let it end, or end it with `kill -KILL {pid}`: nothing that is stored is lost"
