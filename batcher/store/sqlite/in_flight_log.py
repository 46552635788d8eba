"""Which claims have really gone out: a small file beside the store that outlives a killed process.

Only a request that was out when its runner was killed can have killed it; what was merely claimed ahead is given
back unharmed. Writing it into the store would cost a commit a send; a write into the page cache survives SIGKILL
just as well. A power cut may lose it, so what it says counts only within the same start of the machine.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from batcher.domain.ids import HolderId, RequestId
from batcher.domain.requests import Claim

_MAGIC = b"batrfly1"
#: Magic, holder, the start of the machine.
_HEAD = struct.Struct("<8sq48s")
#: Request, send; zeros where nothing is out.
_SLOT = struct.Struct("<qq")
_FREE = bytes(_SLOT.size)
#: Room made at the start, so that a full disk is not met later.
_SLOTS = 2_048


class Sent(Struct, frozen=True, kw_only=True):
    """What of one holder's claims had gone out and was not settled."""

    holder: HolderId
    sends: frozenset[tuple[RequestId, int]]


def _file(store: Path) -> Path:
    return store.with_name(f"{store.name}-flights")


def last_sent(store: Path, *, boot: str | None) -> Sent | None:
    """What the last runner had out; None: not known, so whatever it had claimed may have been."""
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
    return Sent(holder=HolderId(holder), sends=frozenset((RequestId(row), send) for row, send in slots if row))


def _padded(boot: str) -> bytes:
    return boot.encode()[:48].ljust(48, b"\0")


class FlightLog:
    """`ports.Flights` on the file. Where it cannot be written it says nothing, and so nothing wrong."""

    def __init__(self, store: Path, *, holder: HolderId, boot: str | None) -> None:
        self._slots: dict[tuple[RequestId, int], int] = {}
        self._free: list[int] = []
        #: What the file holds after its head.
        self._content = bytearray()
        #: First and last slot of what began and is not in the file yet.
        self._begun: tuple[int, int] | None = None
        self._descriptor = -1
        if boot is None:
            return
        try:
            self._descriptor = os.open(_file(store), os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._descriptor, 0, _HEAD.size + _SLOTS * _SLOT.size)
            os.pwrite(self._descriptor, _HEAD.pack(_MAGIC, holder, _padded(boot)), 0)
        except OSError:
            self.close()

    def begin(self, claim: Claim) -> None:
        """See `ports.Flights`."""
        slot = self._free.pop() if self._free else len(self._slots)
        self._slots[claim.request_id, claim.send] = slot
        self._set(slot, _SLOT.pack(claim.request_id, claim.send))
        first, last = self._begun or (slot, slot)
        self._begun = min(first, slot), max(last, slot)

    def record(self) -> None:
        """See `ports.Flights`. One write for all that are sent together."""
        if self._begun is not None:
            self._write(*self._begun)
            self._begun = None

    def end(self, claims: Iterable[Claim]) -> None:
        """See `ports.Flights`. One write for the group."""
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
        """Let go of the file; what it says stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, first: int, last: int) -> None:
        """Bring the file up to what is known of these slots and those between."""
        if self._descriptor < 0:
            return
        start, end = first * _SLOT.size, (last + 1) * _SLOT.size
        try:
            os.pwrite(self._descriptor, self._content[start:end], _HEAD.size + start)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        """A file that has missed something must not be believed."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        self.close()
