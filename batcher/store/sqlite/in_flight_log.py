"""In-flight log: records which claimed requests were actually sent, in a file that survives SIGKILL.

Only a request that was in flight when its runner was killed can have killed it; on restart, claims that were never
sent are released without counting as lost. Writing this into the store would cost a commit per send; a write into
the page cache survives SIGKILL just as well. A power cut may lose it, so it counts only within the same boot of
the machine.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from batcher.domain.ids import HolderId, RequestId
from batcher.domain.requests import Claim, SentClaims
from batcher.store.sqlite import forks

_MAGIC = b"batrfly1"
#: Magic, holder, the boot id of the machine.
_HEAD = struct.Struct("<8sq48s")
#: Request, send; zeros if the slot is free.
_SLOT = struct.Struct("<qq")
_FREE = bytes(_SLOT.size)
#: Slots allocated at the start, so that a full disk does not matter later.
_SLOTS = 2_048


def _file(store: Path) -> Path:
    return store.with_name(f"{store.name}-flights")


def last_sent(store: Path, *, boot: str | None) -> SentClaims | None:
    """Return what the last runner had in flight; None if unknown, so that any of its claims may have been."""
    try:
        content = _file(store).read_bytes()
    except OSError:
        return None
    if boot is None or len(content) < _HEAD.size:
        return None
    magic, holder, of_boot = _HEAD.unpack_from(content)
    if magic != _MAGIC or of_boot != _padded(boot):
        return None
    whole = len(content) - (len(content) - _HEAD.size) % _SLOT.size
    slots = _SLOT.iter_unpack(content[_HEAD.size : whole])
    return SentClaims(
        holder=HolderId(holder), sends=frozenset((RequestId(row), send) for row, send in slots if row)
    )


def _padded(boot: str) -> bytes:
    return boot.encode()[:48].ljust(48, b"\0")


def _allocate(descriptor: int, size: int) -> None:
    """Give an empty file its blocks. Raises OSError if the disk is full."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        # macOS does not have it.
        os.pwrite(descriptor, bytes(size), 0)


class FileInFlightLog:
    """`ports.InFlightLog` on the file. If it cannot be written it records nothing, and so nothing wrong."""

    def __init__(self, store: Path, *, holder: HolderId, boot: str | None) -> None:
        self._path = _file(store)
        self._slots: dict[tuple[RequestId, int], int] = {}
        self._free: list[int] = []
        #: The content of the file after its header.
        self._content = bytearray()
        #: First and last slot of what began and is not in the file yet.
        self._begun: tuple[int, int] | None = None
        self._descriptor = -1
        self._is_inherited = False
        forks.watch(self)
        if boot is None:
            return
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            _allocate(self._descriptor, _HEAD.size + _SLOTS * _SLOT.size)
            os.pwrite(self._descriptor, _HEAD.pack(_MAGIC, holder, _padded(boot)), 0)
        except OSError:
            self.close()

    def after_fork(self) -> None:
        """See `forks.Inherited`: the file is the parent's."""
        self.close()
        self._is_inherited = True

    def begin(self, claim: Claim) -> None:
        """See `ports.InFlightLog`."""
        slot = self._free.pop() if self._free else len(self._slots)
        self._slots[claim.request_id, claim.send] = slot
        self._set(slot, _SLOT.pack(claim.request_id, claim.send))
        first, last = self._begun or (slot, slot)
        self._begun = min(first, slot), max(last, slot)

    def record(self) -> None:
        """See `ports.InFlightLog`. One write for all requests that are sent together."""
        if self._begun is not None:
            self._write(*self._begun)
            self._begun = None

    def end(self, claims: Iterable[Claim]) -> None:
        """See `ports.InFlightLog`. One write for the batch."""
        freed = [
            slot for each in claims if (slot := self._slots.pop((each.request_id, each.send), None)) is not None
        ]
        for slot in freed:
            self._set(slot, _FREE)
        self._free += freed
        if freed:
            self._write(min(freed), max(freed))

    def _set(self, slot: int, content: bytes) -> None:
        start = slot * _SLOT.size
        self._content[start : start + _SLOT.size] = content

    def close(self) -> None:
        """Close the file; its content stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove_if_empty(self) -> None:
        """Close the file, and remove it if no request is in flight, because it then adds nothing to the store."""
        self.close()
        if not self._slots and not self._is_inherited:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self, first: int, last: int) -> None:
        """Write these slots and those between to the file."""
        if self._descriptor < 0:
            return
        start, end = first * _SLOT.size, (last + 1) * _SLOT.size
        try:
            os.pwrite(self._descriptor, self._content[start:end], _HEAD.size + start)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """Stop recording, because a file that has missed something must not be trusted."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self.close()
