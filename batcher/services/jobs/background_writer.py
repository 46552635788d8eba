"""Work done beside its caller, in another thread: SQLite stores a chunk while Python parses the next."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from batcher.services.runs.interpreter_tuning import tuned_for_throughput

#: Seconds a thread that comes back from SQLite waits for one that is busy in Python. It comes back several times a
#: chunk; with Python's own 5 ms the waiting took all that was won.
_SWITCH_SECONDS: Final = 0.0005


class BackgroundWriter:
    """Runs pieces of work in the order given, one at a time; what one raises is raised where the next is given.

    One piece is under way and one in the making, so memory holds two. Left with an exception, such as Ctrl-C,
    nothing more begins; what is under way ends first. Left without one, all that was given is done.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batcher-beside")
        self._under_way: Future[None] | None = None
        self._tuning = tuned_for_throughput(_SWITCH_SECONDS)

    def give(self, work: Callable[[], None]) -> None:
        """Wait for the piece before, then have this one done."""
        self._wait()
        self._under_way = self._pool.submit(work)

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()

    def __enter__(self) -> Self:
        self._tuning.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            self._tuning.__exit__(kind, error, trace)
            self._pool.shutdown(cancel_futures=True)
