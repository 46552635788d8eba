"""The only reader of wall time. Budgets, backoff and timeouts use the loop's monotonic clock instead."""

import time


class SystemClock:
    """UTC microseconds of this machine."""

    def now(self) -> int:
        """Microseconds since 1970, UTC. May step: it is only for what is persisted."""
        return time.time_ns() // 1000
