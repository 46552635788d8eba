"""Signals: during a run the first drains, the second stops at once (CONTRACT: exit codes).

One that is ignored when the program starts stays so: `nohup` and shells that start jobs in the background mean it.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from batcher.services.runs.run import RunControl

#: Seconds that what is in flight may take after SIGTERM or SIGHUP; after Ctrl-C it may take its time.
_GRACE = {signal.SIGINT: None, signal.SIGTERM: 25.0, signal.SIGHUP: 25.0}
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}


#: A closed terminal hangs up on the program and on its shell, which passes it on; `timeout` and others that start
#: programs do alike. Within so many seconds it is the same signal; a person may be quick with Ctrl-C.
_ECHO_SECONDS = {signal.SIGINT: 0.05, signal.SIGTERM: 0.5, signal.SIGHUP: 0.5}


class Interruption:
    """What came, if anything."""

    def __init__(self, control: RunControl) -> None:
        self._control = control
        self._first_at = 0.0
        self.exit_code: int | None = None

    def take(self, which: signal.Signals) -> None:
        """One signal arrived."""
        now = asyncio.get_running_loop().time()
        if self.exit_code is None:
            self._first_at = now
            self.exit_code = _EXIT_CODES[which]
            self._control.drain(_GRACE[which])
        elif now - self._first_at > _ECHO_SECONDS[which]:
            self._control.stop()


@contextmanager
def heeded(control: RunControl) -> Iterator[Interruption]:
    """Inside the block signals drain and stop the run instead of killing the process."""
    loop = asyncio.get_running_loop()
    interruption = Interruption(control)
    heard = [which for which in _GRACE if signal.getsignal(which) is not signal.SIG_IGN]
    for which in heard:
        loop.add_signal_handler(which, interruption.take, which)
    try:
        yield interruption
    finally:
        for which in heard:
            loop.remove_signal_handler(which)


@contextmanager
def raised() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise, as Ctrl-C does, so that what was begun is tidied up."""
    before = {which: signal.getsignal(which) for which in (signal.SIGTERM, signal.SIGHUP)}
    heard = [which for which, handler in before.items() if handler is not signal.SIG_IGN]
    for which in heard:
        signal.signal(which, _leave)
    try:
        yield
    finally:
        for which in heard:
            signal.signal(which, before[which])


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(_EXIT_CODES[signal.Signals(number)])
