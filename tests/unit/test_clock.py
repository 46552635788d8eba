"""The clock of what is persisted."""

import time

from batcher.clock import SystemClock


def test_it_tells_the_time() -> None:
    assert abs(SystemClock().now() - time.time_ns() // 1000) < 1_000_000


def test_a_clock_that_is_set_while_the_process_runs_changes_nothing(monkeypatch) -> None:
    before = SystemClock().now()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert 0 <= SystemClock().now() - before < 1_000_000
