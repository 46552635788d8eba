"""Virtual time: an event loop whose clock jumps to the next timer instead of waiting for it.

A retry of an hour takes a millisecond, and two runs of a test are the same. Two ways to use it:

- Async tests of a folder: in its `conftest.py`
  `from tests.support.virtual_time import virtual_loops as pytest_asyncio_loop_factories`; pytest-asyncio then
  makes every loop of that folder's async tests and async fixtures a `VirtualLoop`.
- Anywhere else, as within a hypothesis property: `run_virtual(main())`.

Threads have no place here: a clock that jumps while a thread works is not deterministic. `run_in_executor` raises.
Loopback sockets that are ready are served; one that is not ready does not hold the clock.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, NoReturn, TypeVar

import pytest

T = TypeVar("T")

#: 2026-01-01T00:00:00Z in microseconds: what a `VirtualClock` shows when its loop starts.
EPOCH_US = 1_767_225_600_000_000

#: Every jump lands this much late, in seconds, as every real timer does. Without it a waiter whose arithmetic
#: rounds to "now" is due for ever and time stands still.
LATE_S = 1e-9

#: Turns of the loop without any time passing, after which the test is called endless.
MOST_TURNS = 1_000_000

#: Real seconds to wait for a socket where no timer is set.
SOCKET_PATIENCE_S = 5.0

#: The descriptors every asyncio loop watches for itself: its self-pipe.
OWN_DESCRIPTORS = 1


class VirtualDeadlockError(Exception):
    """Nothing can ever happen again: no ready callback, no timer, no socket with news. Or everything for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    """Answers at once: with what is ready, else by moving `now` to where the loop would have slept to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._count_turn()
            return ready
        self._turns = 0
        if timeout is None:
            return self._wait_for_sockets()
        self.now += timeout + LATE_S
        return ready

    def _count_turn(self) -> None:
        self._turns += 1
        if self._turns > MOST_TURNS:
            self._turns = 0
            raise VirtualDeadlockError(
                f"{MOST_TURNS:,} turns of the loop at virtual time {self.now:.6f} s and no time passed: "
                "some task polls without sleeping"
            )

    def _wait_for_sockets(self) -> list[tuple[selectors.SelectorKey, int]]:
        if len(self.get_map()) > OWN_DESCRIPTORS and (ready := super().select(SOCKET_PATIENCE_S)):
            return ready
        raise VirtualDeadlockError(
            f"deadlock at virtual time {self.now:.6f} s: every task waits, no timer is set and no socket has "
            "news; a wake-up was lost, or a thread is expected to deliver one"
        )


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which starts at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = LATE_S

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._jumping.now

    def run_in_executor(self, *_: object) -> NoReturn:
        """No threads in virtual time."""
        raise RuntimeError("virtual time runs no threads: give the test an inline stand-in for this work")


class VirtualClock:
    """`ports.Clock` on virtual time: a fixed epoch plus the running loop's time."""

    def __init__(self, epoch_us: int = EPOCH_US) -> None:
        self._epoch_us = epoch_us

    def now(self) -> int:
        """UTC microseconds."""
        return self._epoch_us + math.floor(asyncio.get_running_loop().time() * 1e6)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a new `VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def virtual_loops(config: pytest.Config, item: pytest.Item) -> Mapping[str, type[VirtualLoop]]:  # noqa: ARG001 - the hook's names
    """The hook `pytest_asyncio_loop_factories`, for a folder's `conftest.py`."""
    return {"virtual": VirtualLoop}
