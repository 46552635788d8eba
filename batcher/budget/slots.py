"""Requests in flight of the whole process, over all its lanes."""

from collections.abc import Callable


class Slots:
    """At most `most` places (None: no bound). Lanes that find none are woken in the order in which they came."""

    __slots__ = ("_taken", "_waiting", "most")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0
        self._waiting: dict[Callable[[], None], None] = {}

    def is_free(self) -> bool:
        """Whether a request may go."""
        return self.most is None or self._taken < self.most

    def wake_when_free(self, wake: Callable[[], None]) -> None:
        """Call `wake` once, when a place is given back."""
        self._waiting[wake] = None

    def share(self) -> float | None:
        """Places taken of `most`."""
        return self._taken / self.most if self.most else None

    def take(self) -> None:
        """A request goes."""
        self._taken += 1

    def give_back(self) -> None:
        """A request has come back. All who wait look again: who then finds none queues up anew, still in order."""
        self._taken -= 1
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()
