"""The only reader of wall time. Budgets, backoff and timeouts use the loop's monotonic clock instead."""

import time
from typing import Final

#: It is never adjusted, and it continues while the machine sleeps, if the system has such a clock.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_WALL_AT_ZERO: Final = time.time_ns() - time.clock_gettime_ns(_STEADY)


class SystemClock:
    """UTC microseconds of this machine, anchored to the wall clock when the process began.

    If someone set the wall clock back by an hour during a run, everything that waits for a time in between would
    wait an hour longer.
    """

    def now(self) -> int:
        """Microseconds since 1970, UTC. Never runs backwards within a process; it is for what is persisted."""
        return (_WALL_AT_ZERO + time.clock_gettime_ns(_STEADY)) // 1000
