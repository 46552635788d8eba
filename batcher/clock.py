"""The only reader of wall time. Budgets, backoff and timeouts use the loop's monotonic clock instead."""

import time
from typing import Final

#: It never steps; and it counts on while the machine sleeps, where the system has such a clock.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_WALL_AT_ZERO: Final = time.time_ns() - time.clock_gettime_ns(_STEADY)


class SystemClock:
    """UTC microseconds of this machine, as its clock stood when the process began.

    A clock that somebody sets an hour back would hold up for an hour what was put off until a moment in between.
    """

    def now(self) -> int:
        """Microseconds since 1970, UTC. Never runs backwards within a process; it is for what is persisted."""
        return (_WALL_AT_ZERO + time.clock_gettime_ns(_STEADY)) // 1000
