"""Requests in flight of the whole process, over all its lanes."""

from collections.abc import Callable

#: What a waiting lane is known by: called, it looks again.
Wake = Callable[[], None]


class Slots:
    """At most `most` places (None: no bound). Lanes that find none get the next in the order of their queue."""

    __slots__ = ("_queue", "_taken", "most")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0
        self._queue: dict[Wake, None] = {}

    def has_room(self, lane: Wake) -> bool:
        """Whether a place is left for `lane` after those who queued up before it."""
        if self.most is None:
            return True
        return self.most - self._taken > (self._ahead_of(lane) if self._queue else 0)

    def _ahead_of(self, lane: Wake) -> int:
        queued = list(self._queue)
        return queued.index(lane) if lane in self._queue else len(queued)

    def share(self) -> float | None:
        """Places taken of `most`."""
        return self._taken / self.most if self.most else None

    def queue_up(self, lane: Wake) -> None:
        """Keep the lane's turn, or give it one, and wake it whenever it may have come."""
        self._queue[lane] = None

    def leave(self, lane: Wake) -> None:
        """The lane wants no place now: it has one, waits for something else, or gave up."""
        if self._queue and lane in self._queue:
            del self._queue[lane]
            self._wake_all()

    def take(self) -> None:
        """A request goes."""
        self._taken += 1

    def give_back(self) -> None:
        """A request has come back."""
        self._taken -= 1
        self._wake_all()

    def _wake_all(self) -> None:
        for wake in self._queue:
            wake()
