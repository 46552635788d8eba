"""Limits the requests in flight of the whole process, over all its lanes."""

from collections.abc import Callable

#: Identifies a waiting lane; calling it makes the lane check again.
Wake = Callable[[], None]


class Slots:
    """At most `most` slots (None: no bound). Lanes that find none free are served in the order of their queue."""

    __slots__ = ("_queue", "_taken", "most")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0
        self._queue: dict[Wake, None] = {}

    def has_room(self, lane: Wake) -> bool:
        """Return whether a slot is left for `lane` after those that queued before it."""
        if self.most is None:
            return True
        return self.most - self._taken > (self._ahead_of(lane) if self._queue else 0)

    def _ahead_of(self, lane: Wake) -> int:
        queued = list(self._queue)
        return queued.index(lane) if lane in self._queue else len(queued)

    def share(self) -> float | None:
        """Return the share of the slots in use."""
        return self._taken / self.most if self.most else None

    def queue_up(self, lane: Wake) -> None:
        """Queue the lane, or keep its turn; it is woken whenever its turn may have come."""
        self._queue[lane] = None

    def leave(self, lane: Wake) -> None:
        """Leave the queue: the lane has a slot, waits for something else, or gave up."""
        if self._queue and lane in self._queue:
            del self._queue[lane]
            self._wake_all()

    def take(self) -> None:
        """Take a slot for a request that is being sent."""
        self._taken += 1

    def give_back(self) -> None:
        """Free the slot of a request that has come back."""
        self._taken -= 1
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in self._queue:
            wake()
