"""File descriptors: each request in flight has one, and the store must not find all of them taken."""

import os
import resource
from contextlib import suppress
from typing import Final

#: Kept for the store and its readers, results, name lookups and helpers.
_RESERVE: Final = 32
#: Where the system names no limit; macOS refuses more than this for most processes.
_MOST: Final = (1 << 20, 10_240)


def raise_limit() -> int:
    """Raise this process's limit of open files to what the system allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else (hard, *(most for most in _MOST if most < hard))
    for limit in wanted:
        if soft != resource.RLIM_INFINITY and soft < limit:
            # macOS refuses some limits below the hard one.
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return limit
    return _MOST[0] if soft == resource.RLIM_INFINITY else soft


def most_connections() -> int:
    """Return how many connections may be open at once, after raising the limit; at least 1."""
    left = raise_limit() - _open_files()
    return max(1, left - min(_RESERVE, left // 2))


def _open_files() -> int:
    for listing in ("/proc/self/fd", "/dev/fd"):
        with suppress(OSError):
            return len(os.listdir(listing))  # noqa: PTH208 - only their number
    return _RESERVE
