"""How much of something went lately."""

from collections import deque

#: Seconds looked back, and between two marks.
WINDOW_S = 10.0
STEP_S = 1.0


class Meter:
    """Units a second over the last `WINDOW_S`: one addition an admission, a mark a second."""

    __slots__ = ("_marks", "_total")

    def __init__(self, now: float) -> None:
        self._total = 0.0
        self._marks = deque([(now, 0.0)], maxlen=int(WINDOW_S / STEP_S) + 1)

    def add(self, amount: float, now: float) -> None:
        """`amount` went at `now`."""
        if now - self._marks[-1][0] >= STEP_S:
            self._marks.append((now, self._total))
        self._total += amount

    def rate(self, now: float) -> float:
        """Units a second since the oldest mark within the window; 0 where all of it is older."""
        for at, total in self._marks:
            if now - at <= WINDOW_S:
                return max(0.0, self._total - total) / max(STEP_S, now - at)
        return 0.0
