"""How long a request waits before a retry: exponential backoff, capped; jitter only lengthens it."""

from typing import Final

#: The first wait.
BASE_US: Final = 1_000_000
#: The longest wait, before jitter.
CAP_US: Final = 60_000_000
#: 2**62 µs outlasts every cap; larger exponents only cost time.
_LARGEST_EXPONENT: Final = 62


def backoff_us(n: int, *, base_us: int = BASE_US, cap_us: int = CAP_US, jitter: float) -> int:
    """Return min(cap, base · 2ⁿ) · (1 + jitter/2) microseconds.

    `n` attempts were used before; `jitter` is in [0, 1).
    """
    exponent = min(max(n, 0), _LARGEST_EXPONENT)
    wait = min(cap_us, base_us << exponent)
    return wait + int(wait * jitter / 2)
