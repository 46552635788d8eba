"""Show the progress of a run: a live display on a terminal, plain lines elsewhere.

It listens to events and polls the worker; the run never waits for it.
"""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

import click

from batcher.cli.flows.own_events import concerns
from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import duration, letter_count, number
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
from batcher.services.monitor.totals import Totals
from batcher.worker.worker import Worker

#: Rates are averages over this many seconds.
_WINDOW = 20.0
_TITLE_WIDTH, _BAR_WIDTH = 28, 20
#: A terminal echoes Ctrl-C as ^C after the last line. If that wraps, the display cannot erase its first line.
_ECHO_WIDTH = 3
_LIVE_SECONDS, _PLAIN_SECONDS = 0.25, 5.0
_MODEL_WIDTH = 24
#: Seconds from which a wait is shown by its end and the provider's words.
_LONG_WAIT = 60.0
#: `LaneView.binding` of a lane that has fewer rows than it could send.
_INPUT = "input"


class RateMeter:
    """The rate of a growing total over the last seconds."""

    def __init__(self, total: int = 0) -> None:
        self.total = total
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float) -> None:
        """Record the total at `now`, in seconds."""
        self._samples.append((now, self.total))
        while now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    def per_minute(self) -> float:
        """Return the rate; 0.0 until there are two samples."""
        if len(self._samples) < 2:  # noqa: PLR2004 - a rate needs two samples
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return 60.0 * (after - before) / max(end - start, 1e-9)


class RunProgress:
    """The counts, rates and reasons for waiting that the display shows, updated by events.

    `totals` are the counts of the jobs at the start.
    """

    def __init__(self, clock: Clock, *, title: str, jobs: Sequence[JobId], total: int, totals: Totals) -> None:
        self._clock = clock
        self._jobs = frozenset(jobs)
        self.title = one_line(title, _TITLE_WIDTH)
        self.total = total
        self.answered, self.dead_letters, self.cached = totals.completed, totals.dead_lettered, totals.cached
        self.requests, self.tokens = RateMeter(totals.attempts), RateMeter(totals.tokens)
        self.settled = RateMeter(totals.completed + totals.dead_lettered)
        self.worker: Callable[[], Worker | None] = lambda: None
        #: Set if a pause, an outage or a drain should be shown at once.
        self.is_urgent = asyncio.Event()
        self._cooling: LaneCooling | None = None
        self._paused: str | None = None
        self._outage: str | None = None
        self._drain: DrainStarted | None = None
        self._drain_at = 0.0
        #: Requests in flight in another process that runs the jobs.
        self._in_flight_elsewhere = 0

    def emit(self, event: Event) -> None:
        """Update from an event. Events of other jobs, which the runner may run too, are not counted."""
        if not concerns(event, self._jobs, self.worker()):
            return
        match event:
            case AttemptEnded():
                self.requests.total += int(event.sent)
                self.tokens.total += (event.input_tokens or 0) + (event.output_tokens or 0)
            case RequestsSettled():
                self.answered += len(event.completed)
                self.dead_letters += len(event.dead_lettered)
                self.cached += event.cached
                self.settled.total += len(event.completed) + len(event.dead_lettered)
            case LaneCooling():
                self._cooling = event
            case SendingPaused():
                self._paused = f"paused ({event.cause.reason}): {words(event.cause.message)}"
                self.is_urgent.set()
            case BreakerChanged():
                self._outage = f"outage of {event.endpoint}: {event.message}" if event.open else None
                self.is_urgent.set()
            case DrainStarted():
                self._drain, self._drain_at = event, asyncio.get_running_loop().time()
                self.is_urgent.set()
            case JobFinished():
                pass

    def follow(self, totals: Totals) -> None:
        """Take the counts of jobs that another process runs; ignored once this process runs them itself."""
        if self.worker() is not None:
            return
        self.settled.total = totals.completed + totals.dead_lettered
        self.answered, self.dead_letters, self.cached = totals.completed, totals.dead_lettered, totals.cached
        self.requests.total, self.tokens.total = totals.attempts, totals.tokens
        self._in_flight_elsewhere = totals.in_flight

    def sample_rates(self) -> None:
        """Take a sample for every rate."""
        now = asyncio.get_running_loop().time()
        for meter in (self.requests, self.tokens, self.settled):
            meter.sample(now)

    @property
    def in_flight(self) -> int:
        """The number of requests in flight now."""
        worker = self.worker()
        if worker is None:
            return self._in_flight_elsewhere
        return sum(claim.job_id in self._jobs for claim in worker.state.sending.values())

    @property
    def ended(self) -> int:
        """The number of rows that are answered or dead letters."""
        return self.answered + self.dead_letters

    def left_seconds(self) -> float | None:
        """Estimate the seconds left from the current rate; None if it is not known."""
        per_second = self.settled.per_minute() / 60
        left = self.total - self.ended
        return left / per_second if per_second > 0 and left > 0 else None

    def waiting(self) -> str | None:
        """Return the main reason why requests are held back (drain, pause, outage, cool-down), or None."""
        if self._drain is not None:
            return self._draining(self._drain)
        if self._paused or self._outage:
            return self._paused or self._outage
        return None if self._cooling is None else self._wait_of(self._cooling)

    def _wait_of(self, cooling: LaneCooling) -> str | None:
        """Describe a cool-down: how long, whose wait it is, and for a long one what the provider said."""
        wait = (cooling.until - self._clock.now()) / 1e6
        if wait <= 0:
            return None
        whose = "as the provider says" if cooling.named else "our own wait"
        if wait < _LONG_WAIT:
            return f"cooling down for {duration(max(1, wait))}, {whose} ({cooling.code})"
        until = datetime.fromtimestamp(cooling.until / 1e6).astimezone().strftime("%a %H:%M")
        return f"cooling down until {until}, {whose}: {cooling.message}"

    def follows_another_runner(self) -> None:
        """Note that this process is not the runner any more, so nothing here is in flight."""
        self._drain = None

    def _draining(self, drain: DrainStarted) -> str:
        waited = asyncio.get_running_loop().time() - self._drain_at
        left = (
            f"{waited:.0f} s so far" if drain.deadline is None else f"at most {drain.deadline - waited:.0f} s more"
        )
        if drain.handing_over:
            return f"for {drain.in_flight} in flight of jobs that others handed over, {left}; Ctrl-C stops at once"
        return f"for {self.in_flight} in flight to finish, {left}; Ctrl-C stops at once"

    def facts(self) -> list[str]:
        """Return the counts and rates, and the limit that binds."""
        return [
            f"{number(self.answered)} answered",
            letter_count(self.dead_letters),
            *([f"{number(self.cached)} cached"] if self.cached else []),
            f"{self.in_flight} in flight",
            f"{number(round(self.requests.per_minute()))} rpm",
            f"{number(round(self.tokens.per_minute()))} tpm",
            *self._binding(),
        ]

    def _binding(self) -> list[str]:
        worker = self.worker()
        own = set() if worker is None else worker.state.own_lanes
        views = [] if worker is None else [view for view in worker.views() if view.key in own]
        binding = describe_binding(views, self._clock.now())
        return [] if binding is None else [binding]

    def time_left(self) -> list[str]:
        """Return the estimated time left; [] if it is not known."""
        left = self.left_seconds()
        return [] if left is None else [f"{duration(left)} left"]


def describe_binding(views: Sequence[LaneView], now: int) -> str | None:
    """Describe what limits the busiest lane; None if there is no lane. `now` is in microseconds UTC."""
    if not views:
        return None
    busiest = max(views, key=lambda view: (view.binding != _INPUT, view.utilization or 0.0))
    where = "at" if len(views) == 1 else f"{len(views)} lanes, {one_line(busiest.key.model, _MODEL_WIDTH)} at"
    return f"{where} {_limit_in_use(busiest, now)}"


def _limit_in_use(view: LaneView, now: int) -> str:
    """Name the limit and the share of it in use; for a cool-down, the time left."""
    if view.cooling_until is not None and view.cooling_until > now:
        return f"{view.binding} for {duration(max(1.0, (view.cooling_until - now) / 1e6))}"
    return view.binding if view.utilization is None else f"{view.binding} {view.utilization:.0%}"


class Display(Protocol):
    """Shows the progress."""

    #: Seconds between updates.
    seconds: float

    def show(self, progress: RunProgress) -> None:
        """Show the current state."""
        ...


class PlainDisplay:
    """Prints a line every few seconds, for logs and pipes."""

    seconds = _PLAIN_SECONDS

    def show(self, progress: RunProgress) -> None:
        """Print one line."""
        waiting = progress.waiting()
        parts = [f"{progress.title}: {number(progress.ended)}/{number(progress.total)}"]
        parts += [*progress.facts(), *progress.time_left(), *([f"waiting: {waiting}"] if waiting else [])]
        click.echo(one_line(" · ".join(parts), 300), err=True)


class LiveDisplay:
    """A bar, a line of counts and, if requests are held back, the reason, redrawn in place."""

    seconds = _LIVE_SECONDS

    def __init__(self, live: Any) -> None:  # noqa: ANN401 - rich is imported only where there is a terminal
        self._live = live

    def show(self, progress: RunProgress) -> None:
        """Redraw."""
        from rich.console import Group  # noqa: PLC0415 - only on a terminal
        from rich.constrain import Constrain  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        ended = progress.ended
        head = Table.grid(padding=(0, 1))
        share = f"{100 * ended / max(1, progress.total):.0f}%"
        bar = ProgressBar(total=max(1, progress.total), completed=ended, width=_BAR_WIDTH)
        count = " · ".join([f"{number(ended)}/{number(progress.total)}", *progress.time_left()])
        head.add_row(Text(progress.title), bar, Text(share), Text(count))
        lines: list[Table | Text] = [
            head,
            Text("  " + " · ".join(progress.facts()), overflow="ellipsis", no_wrap=True),
        ]
        waiting = progress.waiting()
        if waiting:
            lines.append(Text("  waiting: " + one_line(waiting, 200), style="yellow", overflow="ellipsis"))
        width = self._live.console.width - _ECHO_WIDTH
        self._live.update(Constrain(Group(*lines), width), refresh=True)


@contextmanager
def display(*, quiet: bool) -> Iterator[Display | None]:
    """Yield the display for stderr: live on a terminal, else plain lines; None with `quiet`."""
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


async def run_display(shown: Display, progress: RunProgress) -> None:
    """Update the display until cancelled. If the terminal is closed, the display ends and the run continues."""
    with suppress(OSError):
        while True:
            progress.sample_rates()
            shown.show(progress)
            await _wait(shown.seconds, progress.is_urgent)


async def _wait(seconds: float, is_urgent: asyncio.Event) -> None:
    """Wait for the time to pass or for an urgent update."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await is_urgent.wait()
    is_urgent.clear()
