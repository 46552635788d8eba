"""Work done in a second thread: SQLite stores a chunk while Python parses the next."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from batcher.services.runs.interpreter_tuning import tuned_for_throughput

#: Seconds that the writing thread waits for the interpreter when it returns from SQLite. It returns several times
#: per chunk; with Python's default of 5 ms the waiting took as long as the second thread saved.
_SWITCH_SECONDS: Final = 0.0005


class BackgroundWriter:
    """Run pieces of work in a second thread, one at a time, in order; an error is raised by the next `submit`.

    One piece is being written while the caller prepares the next, so memory holds two. On leaving the block, the
    writer waits for the running piece. If the block ends with an exception, such as Ctrl-C, nothing more starts;
    otherwise all submitted work is done and its error is raised.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batcher-writer")
        self._running: Future[None] | None = None
        self._tuning = tuned_for_throughput(_SWITCH_SECONDS)

    def submit(self, work: Callable[[], None]) -> None:
        """Wait for the previous piece, then start this one. Raises what the previous one raised."""
        self._wait()
        self._running = self._pool.submit(work)

    def _wait(self) -> None:
        if self._running is not None:
            self._running.result()

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
