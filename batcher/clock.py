"""The only reader of wall time. Budgets, backoff and timeouts use the loop's monotonic clock instead."""

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

#: It is never adjusted, and it continues while the machine sleeps, if the system has such a clock.
_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
#: Nanoseconds after which the wall clock is looked at again.
_LOOK_NS: Final = 60_000_000_000
#: By how much of the time since the last look our time may be corrected: the rate at which NTP slews a clock.
_SLEW: Final = 500e-6

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BOOT_COMMAND: Final = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
_THREAD_STAT: Final = Path("/proc/thread-self/stat")
#: The field of proc_pid_stat(5) with the time at which a thread started, counted behind the name.
_START_TIME: Final = 19


def slewed(deviation: int, elapsed: int) -> int:
    """Return the part of a deviation that is corrected after so much time; all three are in nanoseconds.

    A process that runs for weeks keeps to a wall clock that is corrected a little now and then, and hardly notices
    one that is set. As the correction is small beside the time that has passed, time never runs backwards.
    """
    most = int(_SLEW * elapsed)
    return max(-most, min(most, deviation))


class _Anchor:
    """The wall time at which the steady clock was at zero, for the whole process."""

    __slots__ = ("_lock", "looked_at", "wall_at_zero")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.looked_at = time.clock_gettime_ns(_STEADY)
        self.wall_at_zero = time.time_ns() - self.looked_at

    def look(self, steady: int) -> None:
        """Correct it by the wall clock."""
        with self._lock:
            elapsed = steady - self.looked_at
            if elapsed >= _LOOK_NS:
                self.looked_at = steady
                self.wall_at_zero += slewed(time.time_ns() - steady - self.wall_at_zero, elapsed)


_anchor: Final = _Anchor()


class SystemClock:
    """UTC microseconds of this machine, anchored to the wall clock when the process began.

    If someone set the wall clock back by an hour during a run, everything that waits for a time in between would
    wait an hour longer. So the wall clock is followed slowly: see `slewed`.
    """

    def now(self) -> int:
        """Microseconds since 1970, UTC. Never runs backwards within a process; it is for what is persisted."""
        steady = time.clock_gettime_ns(_STEADY)
        if steady - _anchor.looked_at >= _LOOK_NS:
            _anchor.look(steady)
        return (_anchor.wall_at_zero + steady) // 1000


def boot_id() -> str | None:
    """Return the id of this boot of the machine, None if the system has none."""
    if sys.platform == "darwin":
        return _output_of(_BOOT_COMMAND)
    try:
        return _BOOT_ID.read_text().strip() or None
    except OSError:
        return None


def _output_of(command: tuple[str, ...]) -> str | None:
    import subprocess  # noqa: PLC0415 - on macOS alone

    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip() or None


def uptime() -> int | None:
    """Return the microseconds since this boot, by the system itself; None if it does not say.

    Wall time minus this is the same in all processes of a boot, unless the wall clock was set in between. A clock
    that is faked for one process must not fake it, and `/proc/uptime` may be that of a container: so it is the
    time at which a new thread started.
    """
    if sys.platform == "darwin":
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    found: list[int] = []

    def look() -> None:
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may contain anything.
            fields = _THREAD_STAT.read_text().rpartition(")")[2].split()
            found.append(int(fields[_START_TIME]) * 1_000_000 // os.sysconf("SC_CLK_TCK"))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] if found else None
