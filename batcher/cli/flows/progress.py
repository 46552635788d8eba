"""Show the progress of a run: a live display on a terminal, plain lines elsewhere.

All of it is read from the monitor's view; the run never waits for it.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

import click

from batcher.cli.terminal.messages import words
from batcher.cli.terminal.output import duration, letter_count, number
from batcher.domain.events import DrainStarted, LaneCooling
from batcher.domain.lanes import LaneView
from batcher.policy.privacy.sanitize import one_line
from batcher.services.monitor.run_monitor import RunMonitor
from batcher.services.monitor.run_view import RunView

_TITLE_WIDTH, _BAR_WIDTH = 28, 20
#: A terminal echoes Ctrl-C as ^C after the last line. If that wraps, the display cannot erase its first line.
_ECHO_WIDTH = 3
_LIVE_SECONDS, _PLAIN_SECONDS = 0.25, 5.0
_MODEL_WIDTH = 24
#: Seconds from which a wait is shown by its end and the provider's words.
_LONG_WAIT = 60.0
#: `LaneView.binding` of a lane that has fewer rows than it could send.
_INPUT = "input"


def facts(view: RunView) -> list[str]:
    """Return the counts and rates, and the limit that binds."""
    binding = describe_binding(view.lanes, view.at)
    return [
        f"{number(view.answered)} answered",
        letter_count(view.dead_letters),
        *([f"{number(view.cached)} cached"] if view.cached else []),
        f"{view.in_flight} in flight",
        f"{number(round(view.requests_per_minute))} rpm",
        f"{number(round(view.tokens_per_minute))} tpm",
        *([] if binding is None else [binding]),
    ]


def time_left(view: RunView) -> list[str]:
    """Return the estimated time left; [] if it is not known."""
    return [] if view.seconds_left is None else [f"{duration(view.seconds_left)} left"]


def waiting(view: RunView) -> str | None:
    """Return the main reason why requests are held back (drain, pause, outage, cool-down), or None."""
    if view.drain is not None:
        return _draining(view.drain, view)
    if view.pause is not None:
        return f"paused ({view.pause.reason}): {words(view.pause.message)}"
    if view.outage is not None:
        return f"outage of {view.outage.endpoint}: {view.outage.message}"
    return None if view.cooling is None else _cooling(view.cooling, view.at)


def _draining(drain: DrainStarted, view: RunView) -> str:
    """Say what the drain waits for, and how long it may take."""
    waited = view.draining_seconds
    left = f"{waited:.0f} s so far" if drain.deadline is None else f"at most {drain.deadline - waited:.0f} s more"
    if drain.handing_over:
        return f"for {drain.in_flight} in flight of jobs that others handed over, {left}; Ctrl-C stops at once"
    if not view.in_flight:
        return "nothing is in flight; the run ends"
    return f"for {view.in_flight} in flight to finish, {left}; Ctrl-C stops at once"


def _cooling(cooling: LaneCooling, now: int) -> str | None:
    """Describe a cool-down: how long, whose wait it is, and for a long one what the provider said."""
    wait = (cooling.until - now) / 1e6
    if wait <= 0:
        return None
    whose = "as the provider says" if cooling.named else "our own wait"
    if wait < _LONG_WAIT:
        return f"cooling down for {duration(max(1, wait))}, {whose} ({cooling.code})"
    until = datetime.fromtimestamp(cooling.until / 1e6).astimezone().strftime("%a %H:%M")
    return f"cooling down until {until}, {whose}: {cooling.message}"


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

    def show(self, title: str, view: RunView) -> None:
        """Show what the run looks like now."""
        ...


class PlainDisplay:
    """Prints a line every few seconds, for logs and pipes."""

    seconds = _PLAIN_SECONDS

    def show(self, title: str, view: RunView) -> None:
        """Print one line."""
        held = waiting(view)
        parts = [f"{title}: {number(view.ended)}/{number(view.total)}"]
        parts += [*facts(view), *time_left(view), *([f"waiting: {held}"] if held else [])]
        click.echo(one_line(" · ".join(parts), 300), err=True)


class LiveDisplay:
    """A bar, a line of counts and, if requests are held back, the reason, redrawn in place."""

    seconds = _LIVE_SECONDS

    def __init__(self, live: Any) -> None:  # noqa: ANN401 - rich is imported only where there is a terminal
        self._live = live

    def show(self, title: str, view: RunView) -> None:
        """Redraw."""
        from rich.console import Group  # noqa: PLC0415 - only on a terminal
        from rich.constrain import Constrain  # noqa: PLC0415
        from rich.progress_bar import ProgressBar  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        head = Table.grid(padding=(0, 1))
        share = f"{100 * view.ended / max(1, view.total):.0f}%"
        bar = ProgressBar(total=max(1, view.total), completed=view.ended, width=_BAR_WIDTH)
        count = " · ".join([f"{number(view.ended)}/{number(view.total)}", *time_left(view)])
        head.add_row(Text(title), bar, Text(share), Text(count))
        lines: list[Table | Text] = [
            head,
            Text("  " + " · ".join(facts(view)), overflow="ellipsis", no_wrap=True),
        ]
        held = waiting(view)
        if held:
            lines.append(Text("  waiting: " + one_line(held, 200), style="yellow", overflow="ellipsis"))
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


async def run_display(shown: Display, title: str, monitor: RunMonitor) -> None:
    """Update the display until cancelled. If the terminal is closed, the display ends and the run continues."""
    title = one_line(title, _TITLE_WIDTH)
    with suppress(OSError):
        while True:
            shown.show(title, monitor.view())
            await _wait(shown.seconds, monitor.is_urgent)


async def _wait(seconds: float, is_urgent: asyncio.Event) -> None:
    """Wait for the time to pass or for an urgent update."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await is_urgent.wait()
    is_urgent.clear()
