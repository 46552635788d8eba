"""Limits the requests in flight of the whole process, over all its lanes."""

from collections.abc import Callable
from itertools import islice
from math import inf

#: Seconds without a failure after which one more request may be in flight than there were descriptors for.
_GROWS_AFTER_S = 5.0

#: Identifies a waiting lane; calling it makes the lane check again.
Wake = Callable[[], None]


class Slots:
    """At most `most` slots (None: no bound). Lanes that find none free are served in the order of their queue.

    `room` is for how many connections this process has descriptors, as far as is known.
    """

    __slots__ = ("_queue", "_ran_out_at", "_room", "_taken", "bound", "most")

    def __init__(self, most: int | None, room: int | None = None) -> None:
        self.most = most
        self._room = room
        #: The smaller of `most` and what descriptors allow now; None: neither is known.
        self.bound = min((each for each in (most, room) if each is not None), default=None)
        self._ran_out_at = -inf
        self._taken = 0
        self._queue: dict[Wake, None] = {}

    def has_room(self, lane: Wake) -> bool:
        """Return whether a slot is left for `lane` after those that queued before it."""
        if self.bound is None:
            return True
        room = self.bound - self._taken
        return room > 0 and (room > len(self._queue) or lane in islice(self._queue, room))

    def share(self) -> float | None:
        """Return the share of the slots in use."""
        return self._taken / self.bound if self.bound else None

    def queue_up(self, lane: Wake) -> None:
        """Queue the lane, or keep its turn; it is woken whenever its turn may have come."""
        self._queue[lane] = None

    def leave(self, lane: Wake) -> None:
        """Leave the queue: the lane has a slot, waits for something else, or gave up."""
        if self._queue and lane in self._queue:
            del self._queue[lane]
            self._wake_next()

    def ran_out(self, now: float) -> None:
        """Report that there was no descriptor for a request, which has freed its slot: allow no more than now."""
        self._ran_out_at = now
        self.bound = max(1, self._taken if self.bound is None else min(self.bound, self._taken))

    def answered(self, now: float) -> None:
        """Report a success: if descriptors ran out some time ago, one more may be in flight."""
        if self._ran_out_at + _GROWS_AFTER_S > now or self._ran_out_at == -inf:
            return
        grown = (self.bound or 0) + 1
        bounds = [each for each in (self.most, self._room) if each is not None]
        if bounds and grown >= min(bounds):
            grown, self._ran_out_at = min(bounds), -inf
        self.bound = grown
        self._wake_next()

    def take(self) -> None:
        """Take a slot for a request that is being sent."""
        self._taken += 1

    def give_back(self) -> None:
        """Free the slot of a request that has come back."""
        self._taken -= 1
        self._wake_next()

    def _wake_next(self) -> None:
        """Wake the lanes for which there is room, and no more: there may be thousands."""
        if self._queue and self.bound is not None:
            for wake in islice(self._queue, max(0, self.bound - self._taken)):
                wake()
