"""Three advisory locks on files beside the store (see `os_locks`)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batcher.domain.errors import RunnerBusy
from batcher.os_locks import LockMode, try_lock, unlock
from batcher.store.sqlite import forks
from batcher.store.sqlite.lock_wait import Turn, open_side_file, wait_for

#: Seconds. `status` holds a shared lock for an instant to probe; a runner that starts just then retries.
_PATIENCE_SECONDS = 0.5


#: The note of the holder begins the file; the mark stands behind it.
_NOTE_BYTES, _MARK_AT, _MARK = 32, 64, b"!"


class SideLock:
    """A lock on a side file.

    The file is never removed, because a process that opened it before would hold a lock that no other can see.
    `LoadingLock` is the exception.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mine = False
        self._is_inherited = self._is_marked = False
        #: The place in the queue of a thread that waits now, and whether a thread may wait.
        self._turn: Turn | None = None
        self._may_wait = True
        self._descriptor = open_side_file(path)
        forks.watch(self)

    def after_fork(self) -> None:
        """See `forks.Inherited`. Closing the child's copy of the descriptor leaves the parent's lock as it is."""
        SideLock.close(self)
        self._is_inherited, self._turn = True, None

    def wait(self, allowed: bool) -> None:
        """Set whether a thread may wait for the lock. False also ends the wait of a thread that does."""
        self._may_wait = allowed
        turn = self._turn
        if not allowed and turn is not None:
            turn.give_up()

    def close(self) -> None:
        """Close the descriptor, which releases the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def held(self, *, patient: bool = False) -> Iterator[None]:
        """Hold the lock for the block, after waiting for it.

        Raises StoreError if another keeps it a minute. `patient`: wait as long as the holder lives.
        """
        self._take(LockMode.EXCLUSIVE, patient=patient)
        self._sign()
        try:
            yield
        finally:
            unlock(self._descriptor)

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock for the block, shared with others. Waits and raises as `held` does."""
        self._take(LockMode.SHARED)
        try:
            yield
        finally:
            unlock(self._descriptor)

    @contextmanager
    def held_if_free(self) -> Iterator[bool]:
        """Hold the lock for the block if it is free; yields whether it is held."""
        held = self._try(LockMode.EXCLUSIVE)
        if held:
            self._sign()
        try:
            yield held
        finally:
            if held:
                unlock(self._descriptor)

    def try_hold(self) -> bool:
        """Take the lock for the lifetime of this object; return whether it was free."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._try(LockMode.EXCLUSIVE):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        self._mine = True
        return True

    def is_held_elsewhere(self) -> bool:
        """Return whether another process holds it now. The holder itself gets False, and keeps the lock."""
        if self._mine:
            return False
        if not self._try(LockMode.SHARED):
            return True
        unlock(self._descriptor)
        return False

    def write_note(self, text: str) -> None:
        """Write the holder's pid for those who find the lock taken."""
        os.pwrite(self._descriptor, text.encode().ljust(_NOTE_BYTES), 0)

    def read_note(self) -> str:
        """Return what the holder wrote."""
        content = os.pread(self._descriptor, _MARK_AT + 1, 0)
        self._is_marked = content[_MARK_AT:] == _MARK
        return content[:_NOTE_BYTES].decode(errors="replace").strip("\0 \n")

    def mark(self, is_set: bool) -> None:
        """Set or remove a mark that all processes see which hold the lock later. Raises OSError."""
        os.pwrite(self._descriptor, _MARK if is_set else b"\0", _MARK_AT)
        self._is_marked = is_set

    @property
    def is_marked(self) -> bool:
        """Return whether the mark was set when the lock was last taken."""
        return self._is_marked

    def look_for_mark(self) -> bool:
        """Return whether the mark is set now."""
        self.read_note()
        return self._is_marked

    def pid(self) -> int | None:
        """Return the process that holds the lock, or that held it last."""
        note = self.read_note()
        return int(note) if note.isdigit() else None

    def _sign(self) -> None:
        """Write our pid for those who wait; if the disk is full, they do without."""
        pid = str(os.getpid())
        with suppress(OSError):
            if self.read_note() != pid:
                self.write_note(pid)

    def _take(self, mode: LockMode, *, patient: bool = False) -> None:
        if self._try(mode):
            return
        self._turn = Turn(self.path, mode)
        try:
            if not self._may_wait:
                self._turn.give_up()
            ours, self._descriptor = self._descriptor, wait_for(self._turn, self.path, self.pid, patient=patient)
            os.close(ours)
        finally:
            self._turn = None

    def _try(self, mode: LockMode) -> bool:
        if self._is_inherited:
            raise forks.opened_before_fork(self.path)
        return try_lock(self._descriptor, mode)


def _side_file(store: Path, what: str) -> Path:
    return store.with_name(f"{store.name}-{what}")


def write_lock(store: Path) -> SideLock:
    """Return the lock around every write transaction, checkpoint and close of any process.

    SQLite before 3.51.3 can corrupt a WAL if one connection checkpoints while another commits.
    """
    return SideLock(_side_file(store, "write"))


class LoadingLock(SideLock):
    """The lock shared by all processes that load a job now; the last one removes the file.

    If no process holds it, a half-loaded job is one whose loader died. The file is removed under the exclusive
    lock, so it stays while anyone holds the lock. A process that locked a removed file notices and locks the new
    one.
    """

    def __init__(self, store: Path) -> None:
        super().__init__(_side_file(store, "loading"))

    def close(self) -> None:
        """Release the lock, and remove the file if no other process holds the lock."""
        if self._descriptor >= 0 and self._try(LockMode.EXCLUSIVE):
            self.path.unlink(missing_ok=True)
        super().close()

    def _take(self, mode: LockMode, *, patient: bool = False) -> None:
        super()._take(mode, patient=patient)
        while not self._is_current():
            self._reopen()
            super()._take(mode, patient=patient)

    def _try(self, mode: LockMode) -> bool:
        while super()._try(mode):
            if self._is_current():
                return True
            self._reopen()
        return False

    def _is_current(self) -> bool:
        """Return whether the locked file is the one at the path."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _reopen(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
        self._descriptor = open_side_file(self.path)


class RunnerLock:
    """The lock of the one runner of a store, released when its process ends.

    One object is one contender, also within a process.
    """

    def __init__(self, store: Path) -> None:
        self._lock = SideLock(_side_file(store, "runner"))

    def acquire(self) -> None:
        """Become the runner, or raise `RunnerBusy` with the other's pid."""
        if not self._lock.try_hold():
            pid = self.pid()
            raise RunnerBusy(f"another runner (pid {pid}) is using this store", pid=pid)
        self._lock.write_note(str(os.getpid()))

    def is_live(self) -> bool:
        """Return whether another runner is using the store now."""
        return self._lock.is_held_elsewhere()

    def pid(self) -> int | None:
        """Return the process id that the last runner wrote."""
        return self._lock.pid()

    def close(self) -> None:
        """Release the lock, so that another process can become the runner."""
        self._lock.close()


def runner_is_live(store: Path) -> bool:
    """Return whether a runner is using the store, without writing anything."""
    try:
        descriptor = os.open(_side_file(store, "runner"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(descriptor, LockMode.SHARED)
    except OSError:
        return False
    finally:
        os.close(descriptor)
