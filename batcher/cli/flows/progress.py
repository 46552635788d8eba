"""Progress of a run: a live display on a terminal, plain lines elsewhere. It listens; nothing waits for it."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import click

from batcher.cli.terminal.output import duration, number
from batcher.domain.events import (
    AttemptEnded,
    BreakerChanged,
    DrainStarted,
    Event,
    JobFinished,
    LaneCooling,
    RequestsSettled,
    SendingPaused,
)
from batcher.domain.ids import JobId
from batcher.domain.lanes import LaneView
from batcher.policy.privacy.sanitize import one_line
from batcher.ports import Clock
from batcher.services.runs.follow import Totals
from batcher.worker.worker import Worker

#: Rates are taken over this many seconds.
_WINDOW = 20.0
_TITLE_WIDTH, _BAR_WIDTH = 28, 20
#: A terminal shows Ctrl-C as ^C behind the last line; where that wraps, the display leaves a line behind.
_ECHO_WIDTH = 3
_LIVE_SECONDS, _PLAIN_SECONDS = 0.25, 5.0
_MODEL_WIDTH = 24
#: What binds a lane with fewer rows than it could send.
_INPUT = "input"


class Tempo:
    """How much of something happened a minute, lately; `total` is how much there was before."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, now: float) -> None:
        """Remember where it stands."""
        self._marks.append((now, self.total))
        while now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()

    def per_minute(self) -> float:
        """0.0 until something is known."""
        if len(self._marks) < 2:  # noqa: PLR2004 - two marks make a span
            return 0.0
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return 60.0 * (after - before) / max(end - start, 1e-9)


class Numbers:
    """What the display shows, kept up by events. It starts where the jobs stand."""

    def __init__(self, clock: Clock, *, title: str, jobs: Sequence[JobId], total: int, totals: Totals) -> None:
        self._clock = clock
        self._jobs = frozenset(jobs)
        self.title = one_line(title, _TITLE_WIDTH)
        self.total = total
        self.done, self.failed, self.cached = totals.completed, totals.dead_lettered, totals.cached
        self.requests, self.tokens = Tempo(totals.attempts), Tempo(totals.tokens)
        self.settled = Tempo(totals.completed + totals.dead_lettered)
        self.worker: Callable[[], Worker | None] = lambda: None
        #: Something came up that is worth showing at once.
        self.news = asyncio.Event()
        self._cooling: tuple[int, str] | None = None
        self._stopped: str | None = None
        self._outage: str | None = None
        self._drain: DrainStarted | None = None
        self._drain_at = 0.0
        #: In flight at the process that runs the jobs in our stead.
        self._elsewhere = 0

    def emit(self, event: Event) -> None:
        """Take the event in; what the runner does for other people's jobs is not counted here."""
        if isinstance(event, AttemptEnded | RequestsSettled) and event.job_id not in self._jobs:
            return
        match event:
            case AttemptEnded():
                self.requests.total += int(event.sent)
                self.tokens.total += (event.input_tokens or 0) + (event.output_tokens or 0)
            case RequestsSettled():
                self.done += len(event.completed)
                self.failed += len(event.dead_lettered)
                self.cached += event.cached
                self.settled.total += len(event.completed) + len(event.dead_lettered)
            case LaneCooling():
                self._cooling = (event.until, event.code)
            case SendingPaused():
                self._stopped = f"paused ({event.cause.reason}): {event.cause.message}"
                self.news.set()
            case BreakerChanged():
                self._outage = f"outage of {event.endpoint}: {event.message}" if event.open else None
                self.news.set()
            case DrainStarted():
                self._drain, self._drain_at = event, asyncio.get_running_loop().time()
                self.news.set()
            case JobFinished():
                pass

    def follow(self, totals: Totals) -> None:
        """Another process runs the jobs: take over how they stand, unless we have taken over from it."""
        if self.worker() is not None:
            return
        self.settled.total = totals.completed + totals.dead_lettered
        self.done, self.failed, self.cached = totals.completed, totals.dead_lettered, totals.cached
        self.requests.total, self.tokens.total = totals.attempts, totals.tokens
        self._elsewhere = totals.in_flight

    def mark(self) -> None:
        """Take the time for rates."""
        now = asyncio.get_running_loop().time()
        for tempo in (self.requests, self.tokens, self.settled):
            tempo.mark(now)

    @property
    def in_flight(self) -> int:
        """Requests that are out now."""
        worker = self.worker()
        return self._elsewhere if worker is None else worker.state.in_flight

    def left_seconds(self) -> float | None:
        """At the pace of the last seconds; None: not known."""
        pace = self.settled.per_minute() / 60
        left = self.total - self.done - self.failed
        return left / pace if pace > 0 and left > 0 else None

    def waiting(self) -> str | None:
        """Why less is sent than could be, the weightiest reason first."""
        if self._drain is not None:
            return self._draining(self._drain)
        if self._stopped or self._outage:
            return self._stopped or self._outage
        wait = 0.0 if self._cooling is None else (self._cooling[0] - self._clock.now()) / 1e6
        if self._cooling is not None and wait > 0:
            return f"told to wait {duration(max(1, wait))} ({self._cooling[1]})"
        return None

    def _draining(self, drain: DrainStarted) -> str:
        waited = asyncio.get_running_loop().time() - self._drain_at
        left = (
            f"{waited:.0f} s so far" if drain.deadline is None else f"at most {drain.deadline - waited:.0f} s more"
        )
        return f"for {self.in_flight} in flight to end, {left}; Ctrl-C stops at once"

    def facts(self) -> list[str]:
        """The line of figures."""
        return [
            f"{number(self.done)} done",
            f"{number(self.failed)} failed",
            *([f"{number(self.cached)} cached"] if self.cached else []),
            f"{self.in_flight} in flight",
            f"{number(round(self.requests.per_minute()))} rpm",
            f"{number(round(self.tokens.per_minute()))} tpm",
            *self._bound(),
        ]

    def _bound(self) -> list[str]:
        worker = self.worker()
        bound = None if worker is None else what_binds(worker.views(), self._clock.now())
        return [] if bound is None else [bound]

    def outlook(self) -> list[str]:
        """How long it will take, if that can be told."""
        left = self.left_seconds()
        return [] if left is None else [f"{duration(left)} left"]


def what_binds(views: Sequence[LaneView], now: int) -> str | None:
    """What holds the next request back, of several lanes at the busiest; None: there is none. `now` is UTC µs."""
    if not views:
        return None
    busiest = max(views, key=lambda view: (view.binding != _INPUT, view.utilization or 0.0))
    where = "at" if len(views) == 1 else f"{len(views)} lanes, {one_line(busiest.key.model, _MODEL_WIDTH)} at"
    return f"{where} {_binding(busiest, now)}"


def _binding(view: LaneView, now: int) -> str:
    """The limit and how much of it is used; of a cool-down how long it still takes."""
    if view.cooling_until is not None and view.cooling_until > now:
        return f"{view.binding} for {duration(max(1.0, (view.cooling_until - now) / 1e6))}"
    return view.binding if view.utilization is None else f"{view.binding} {view.utilization:.0%}"


class Display(Protocol):
    """Shows numbers now and then."""

    seconds: float

    def show(self, numbers: Numbers) -> None:
        """Once more."""
        ...


class PlainDisplay:
    """A line every few seconds, for logs and pipes."""

    seconds = _PLAIN_SECONDS

    def show(self, numbers: Numbers) -> None:
        """One line."""
        waiting = numbers.waiting()
        parts = [f"{numbers.title}: {number(numbers.done + numbers.failed)}/{number(numbers.total)}"]
        parts += [*numbers.facts(), *numbers.outlook(), *([f"waiting: {waiting}"] if waiting else [])]
        click.echo(one_line(" · ".join(parts), 300), err=True)


class LiveDisplay:
    """A bar and two lines that stay in place."""

    seconds = _LIVE_SECONDS

    def __init__(self, live: Any) -> None:  # noqa: ANN401 - rich is imported only where there is a terminal
        self._live = live

    def show(self, numbers: Numbers) -> None:
        """Draw it anew."""
        from rich.console import Group  # noqa: PLC0415 - only on a terminal
        from rich.constrain import Constrain  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        ended = numbers.done + numbers.failed
        head = Table.grid(padding=(0, 1))
        share = f"{100 * ended / max(1, numbers.total):.0f}%"
        bar = ProgressBar(total=max(1, numbers.total), completed=ended, width=_BAR_WIDTH)
        count = " · ".join([f"{number(ended)}/{number(numbers.total)}", *numbers.outlook()])
        head.add_row(Text(numbers.title), bar, Text(share), Text(count))
        lines: list[Table | Text] = [
            head,
            Text("  " + " · ".join(numbers.facts()), overflow="ellipsis", no_wrap=True),
        ]
        waiting = numbers.waiting()
        if waiting:
            lines.append(Text("  waiting: " + one_line(waiting, 200), style="yellow", overflow="ellipsis"))
        width = self._live.console.width - _ECHO_WIDTH
        self._live.update(Constrain(Group(*lines), width), refresh=True)


@contextmanager
def display(*, quiet: bool) -> Iterator[Display | None]:
    """The display that fits where stderr goes; None: none is wanted."""
    if quiet:
        yield None
    elif not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield PlainDisplay()
    else:
        from rich.console import Console  # noqa: PLC0415 - only on a terminal
        from rich.live import Live  # noqa: PLC0415

        live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        live.start()
        try:
            yield LiveDisplay(live)
        finally:
            with suppress(OSError):
                live.stop()


async def keep_showing(shown: Display, numbers: Numbers) -> None:
    """Until cancelled, or until the terminal is gone: the run goes on without it."""
    with suppress(OSError):
        while True:
            numbers.mark()
            shown.show(numbers)
            await _news_or(shown.seconds, numbers.news)


async def _news_or(seconds: float, news: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
    news.clear()
