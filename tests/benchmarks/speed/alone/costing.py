"""How a piece is measured: CPU microseconds a row, all threads and the system included, of the quickest turn.

What others do on the machine makes a turn slower, never faster.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

T = TypeVar("T")
TURNS: Final = 3


class Piece(Struct, frozen=True, kw_only=True):
    """One piece: what it is called, what it does, and its cost in CPU microseconds a row."""

    name: str
    does: str
    cost: float


def piece(name: str, does: str, work: Callable[[], object], rows: int) -> Piece:
    """Work that can be done again and again."""
    return Piece(name=name, does=does, cost=per_row(min(cpu(work) for _ in range(TURNS)), rows))


def per_row(seconds: float, rows: int) -> float:
    """Microseconds a row."""
    return seconds / rows * 1e6


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def exhaust(items: Iterable[object]) -> None:
    """Take every item and keep none."""
    for _ in items:
        pass


def groups(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """The items in groups of `size`, in their order."""
    return [items[start : start + size] for start in range(0, len(items), size)]
