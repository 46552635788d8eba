"""Sets of keys in little memory. A key is 16 evenly distributed bytes."""

from array import array
from collections.abc import Iterable
from typing import Final

KEY_BYTES: Final = 16
_FIRST_SLOTS: Final = 1 << 12


#: One bit per key: of a million keys, one in 134 is mistaken for another; of ten million, one in 14.
_BITS: Final = 1 << 26
#: The most possible repeats that are worth remembering.
_MOST_REPEATS: Final = 1 << 16


class BloomFilter:
    """A Bloom filter: finds keys that may have occurred before, and misses none that did. Takes 8 MiB."""

    def __init__(self) -> None:
        self._bits = bytearray(_BITS // 8)
        #: None: too many to remember.
        self.found: set[bytes] | None = set()

    def add(self, keys: Iterable[bytes]) -> None:
        """Add the next keys."""
        bits, read = self._bits, int.from_bytes
        for key in keys:
            at = read(key[:4], "big") % _BITS
            byte, bit = at >> 3, 1 << (at & 7)
            if not bits[byte] & bit:
                bits[byte] |= bit
            elif self.found is not None:
                self.found.add(key)
        if self.found is not None and len(self.found) > _MOST_REPEATS:
            self.found = None


class CompactKeyIndex:
    """A compact exact index: each key with the number under which it was first added, in about 30 bytes per key.

    A Python set of bytes would take three to four times as much: here a million keys fit into 30 MB.
    """

    def __init__(self) -> None:
        self._keys = bytearray()
        self._numbers = array("Q")
        # Open addressing: a slot holds the key's index + 1, or 0; at most half of the slots are used.
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, key: bytes, number: int) -> int | None:
        """Return the number under which the key was added before; None if it is new, with this number."""
        slot = self._find(key)
        place = self._slots[slot]
        if place:
            return self._numbers[place - 1]
        self._keys += key
        self._numbers.append(number)
        self._slots[slot] = len(self._numbers)
        if 2 * len(self._numbers) > len(self._slots):
            self._grow()
        return None

    def _find(self, key: bytes) -> int:
        """Return the slot that holds the key, or the free one where it belongs."""
        slots, keys = self._slots, self._keys
        last = len(slots) - 1
        slot = int.from_bytes(key[:8], "big") & last
        while place := slots[slot]:
            start = (place - 1) * KEY_BYTES
            if keys[start : start + KEY_BYTES] == key:
                break
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        self._slots = array("I", bytes(8 * len(self._slots)))
        for place in range(len(self._numbers)):
            start = place * KEY_BYTES
            self._slots[self._find(bytes(self._keys[start : start + KEY_BYTES]))] = place + 1
