"""Signals: during a run the first one drains, the second stops at once (docs/exit-codes.md).

A signal that is ignored when the program starts stays ignored: `nohup` and shells that start background jobs rely
on that.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from batcher.services.runs.run import RunControl

#: Seconds in which requests in flight may finish after the signal; None: no limit.
_DRAIN_SECONDS = {signal.SIGINT: None, signal.SIGTERM: 25.0, signal.SIGHUP: 25.0}
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


#: One event may send a signal twice: a closed terminal sends SIGHUP to the program and to its shell, which passes
#: it on; `timeout` and similar programs do the same. A second signal within this many seconds counts as the same
#: one. The time is short for SIGINT, because a user may press Ctrl-C twice quickly.
_DUPLICATE_SECONDS = {signal.SIGINT: 0.05, signal.SIGTERM: 0.5, signal.SIGHUP: 0.5}


class Interruption:
    """Turns signals into a drain or a stop; `exit_code` is that of the first signal, None if none arrived."""

    def __init__(self, control: RunControl) -> None:
        self._control = control
        self._first_at = 0.0
        self.exit_code: int | None = None

    def handle(self, received: signal.Signals) -> None:
        """Drain on the first signal, stop on a later one."""
        now = asyncio.get_running_loop().time()
        if self.exit_code is None:
            self._first_at = now
            self.exit_code = _EXIT_CODES[received]
            self._control.drain(_DRAIN_SECONDS[received])
        elif now - self._first_at > _DUPLICATE_SECONDS[received]:
            self._control.stop()


@contextmanager
def drain_on_signals(control: RunControl) -> Iterator[Interruption]:
    """Inside the block, signals drain and stop the run instead of killing the process."""
    loop = asyncio.get_running_loop()
    interruption = Interruption(control)
    handled = [each for each in _DRAIN_SECONDS if signal.getsignal(each) is not signal.SIG_IGN]
    for each in handled:
        loop.add_signal_handler(each, interruption.handle, each)
    try:
        yield interruption
    finally:
        for each in handled:
            loop.remove_signal_handler(each)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Inside the block, SIGTERM and SIGHUP raise SystemExit, so that cleanup runs as it does after Ctrl-C."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    handled = [each for each, handler in before.items() if handler is not signal.SIG_IGN]
    for each in handled:
        signal.signal(each, _exit)
    try:
        yield
    finally:
        for each in handled:
            signal.signal(each, before[each])


def _exit(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(_EXIT_CODES[signal.Signals(number)])
