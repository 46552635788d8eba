"""How fast something grows, and how long the rest takes. Whatever shows a rate or a time left has it from here."""

from collections import deque
from typing import Final

#: Rates are averages over this many seconds.
WINDOW_SECONDS: Final = 20.0


class RateMeter:
    """The rate of a growing total over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float, total: int) -> None:
        """Record the total at `now`, in monotonic seconds."""
        self._samples.append((now, total))
        while now - self._samples[0][0] > WINDOW_SECONDS:
            self._samples.popleft()

    def per_second(self) -> float:
        """Return the rate; 0.0 until there are two samples."""
        if len(self._samples) < 2:  # noqa: PLR2004 - a rate needs two samples
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / max(end - start, 1e-9)

    def per_minute(self) -> float:
        """Return the rate per minute."""
        return 60.0 * self.per_second()


def seconds_left(unfinished: int, per_second: float) -> float | None:
    """Return how long the rest takes at this rate; None if there is no rest, or if the rate is not known."""
    return unfinished / per_second if per_second > 0 and unfinished > 0 else None
