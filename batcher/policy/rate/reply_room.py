"""Bounds the memory of replies: those that wait for their commit, and those that requests in flight will bring."""

from typing import Final

#: Bytes of all replies in hand. One reply may be larger; then it is requested alone.
MOST_BYTES: Final = 128 << 20
#: The weight of one reply in the mean size that the next ones are expected to have.
_WEIGHT: Final = 1 / 16


class ReplyRoom:
    """Counts the bytes in hand. Sizes are not known before a reply arrives, so the recent mean stands for them."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        #: Bytes that have arrived and are not on disk.
        self.held = 0
        self._mean = 0.0

    def arrived(self, size: int) -> None:
        """Count a reply that waits for its commit now."""
        self.held += size
        self._mean = size if not self._mean else self._mean + _WEIGHT * (size - self._mean)

    def committed(self, size: int) -> None:
        """Count a reply that is on disk."""
        self.held -= size

    def has_room(self, in_flight: int) -> bool:
        """Return whether one more request may be sent; one always may if nothing is in hand."""
        if not in_flight and not self.held:
            return True
        return self.held + (in_flight + 1) * self._mean <= self._most
