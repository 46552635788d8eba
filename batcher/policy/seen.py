"""Which keys came before, and where, in memory that stays small: about 30 bytes a key, whatever its length."""

from array import array
from typing import Final

KEY_BYTES: Final = 16
_FIRST_SLOTS: Final = 1 << 12


class Seen:
    """Keys of 16 evenly distributed bytes, each with the number it was first given.

    A set of bytes would take three to four times as much: a million keys fit into 30 MB here.
    """

    def __init__(self) -> None:
        self._keys = bytearray()
        self._numbers = array("Q")
        # Open addressing: a slot holds the key's place + 1, or 0; at most half of the slots are taken.
        self._slots = array("I", bytes(4 * _FIRST_SLOTS))

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, key: bytes, number: int) -> int | None:
        """The number under which the key came before; None: it is new, and this is its number."""
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
        """The slot that holds the key, or the free one where it belongs."""
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
