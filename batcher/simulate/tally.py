"""Running counts of requests, and the busiest windows.

Memory does not grow with the number of requests, except for one digest per distinct body.
"""

from collections import Counter, deque

from msgspec import Struct, field


class Stats(Struct, frozen=True, kw_only=True):
    """The body of `GET /simulate/stats`. Windows are half open: of two requests 1 s apart, one is inside."""

    requests: int
    #: Replies with status 200, and with 429 (a limit, or on demand).
    answered: int
    refused: int
    by_status: dict[str, int]
    in_flight: int
    peak_in_flight: int
    distinct_bodies: int
    #: Tokens charged at admission.
    charged: float
    #: The most requests that arrived within any window, rejected or not…
    max_requests_1s: float
    max_requests_60s: float
    #: …the most that were admitted…
    max_admitted_1s: float
    max_admitted_60s: float
    #: …and the most tokens charged.
    max_charged_1s: float
    max_charged_60s: float
    #: The same counts by model; empty in the nested ones.
    models: dict[str, "Stats"] = field(default_factory=dict)


class Window:
    """The largest sum of events within any window of a given length."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._events: deque[tuple[float, float]] = deque()
        self._sum = 0.0
        self.largest = 0.0

    def add(self, at: float, amount: float) -> None:
        """Count an event; one that is earlier than the last counts as simultaneous with it."""
        if self._events:
            at = max(at, self._events[-1][0])
        self._events.append((at, amount))
        self._sum += amount
        while self._events[0][0] <= at - self._seconds:
            self._sum -= self._events.popleft()[1]
        self.largest = max(self.largest, self._sum)


class _Load:
    """One quantity in windows of a second and of a minute."""

    def __init__(self) -> None:
        self.second = Window(1.0)
        self.minute = Window(60.0)

    def add(self, at: float, amount: float = 1.0) -> None:
        self.second.add(at, amount)
        self.minute.add(at, amount)


class Tally:
    """Running counts of all requests or of one model."""

    def __init__(self) -> None:
        self._statuses: Counter[str] = Counter()
        self._bodies: set[bytes] = set()
        self._requests = self._in_flight = self._peak = 0
        self._charged = 0.0
        self._arrived, self._admitted, self._tokens = _Load(), _Load(), _Load()

    def begin(self, at: float, body: bytes, tokens: float | None) -> None:
        """Count a request that arrived at `at`; `tokens` were charged (None: it was not admitted)."""
        self._requests += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        self._bodies.add(body)
        self._arrived.add(at)
        if tokens is not None:
            self._charged += tokens
            self._admitted.add(at)
            self._tokens.add(at, tokens)

    def end(self, status: int | None) -> None:
        """Count the end of a request; `status` is None if it got no reply."""
        self._in_flight -= 1
        self._statuses["none" if status is None else str(status)] += 1

    def stats(self, models: dict[str, Stats]) -> Stats:
        """Return the current counts."""
        return Stats(
            requests=self._requests,
            answered=self._statuses["200"],
            refused=self._statuses["429"],
            by_status=dict(sorted(self._statuses.items())),
            in_flight=self._in_flight,
            peak_in_flight=self._peak,
            distinct_bodies=len(self._bodies),
            charged=self._charged,
            max_requests_1s=self._arrived.second.largest,
            max_requests_60s=self._arrived.minute.largest,
            max_admitted_1s=self._admitted.second.largest,
            max_admitted_60s=self._admitted.minute.largest,
            max_charged_1s=self._tokens.second.largest,
            max_charged_60s=self._tokens.minute.largest,
            models=models,
        )
