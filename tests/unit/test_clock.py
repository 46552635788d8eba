"""The clock of what is persisted."""

import sys
import time
from pathlib import Path

import pytest

from batcher import clock
from batcher.clock import SystemClock, boot_id, slewed, uptime


def test_it_tells_the_time() -> None:
    assert abs(SystemClock().now() - time.time_ns() // 1000) < 1_000_000


def test_a_clock_that_is_set_while_the_process_runs_changes_nothing(monkeypatch) -> None:
    before = SystemClock().now()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert 0 <= SystemClock().now() - before < 1_000_000


@pytest.mark.parametrize(
    ("deviation", "elapsed", "corrected"),
    [
        (0, 60_000_000_000, 0),
        (10_000_000, 60_000_000_000, 10_000_000),
        (-10_000_000, 60_000_000_000, -10_000_000),
        # Half an hour in a minute: somebody has set the clock.
        (1_800_000_000_000, 60_000_000_000, 30_000_000),
        (-1_800_000_000_000, 60_000_000_000, -30_000_000),
    ],
)
def test_a_drift_is_corrected_and_a_clock_that_was_set_is_followed_slowly(
    deviation: int, elapsed: int, corrected: int
) -> None:
    assert slewed(deviation, elapsed) == corrected


def test_over_weeks_it_keeps_to_a_wall_clock_that_drifts_from_the_steady_one(monkeypatch) -> None:
    steady, wall = [0], [1_700_000_000_000_000_000]
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: steady[0])
    monkeypatch.setattr(time, "time_ns", lambda: wall[0])
    monkeypatch.setattr(clock, "_anchor", clock._Anchor())
    last = SystemClock().now()
    for _ in range(3 * 7 * 24 * 60):
        steady[0] += 60_000_000_000
        wall[0] += 60_000_000_000 + 600_000  # 10 ppm
        now = SystemClock().now()
        assert now > last
        last = now
    assert abs(last - wall[0] // 1000) < 1_000


def test_the_uptime_is_the_systems_own_and_goes_on() -> None:
    first = uptime()
    time.sleep(0.05)
    second = uptime()
    assert first is not None
    assert second is not None
    assert 20_000 <= second - first < 5_000_000
    assert abs(second / 1e6 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


def test_a_clock_that_is_faked_for_the_process_does_not_fake_it(monkeypatch) -> None:
    before = uptime()
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: 0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    after = uptime()
    assert before is not None
    assert after is not None
    assert 0 <= after - before < 5_000_000


@pytest.mark.parametrize("content", ["", "7 (a) S", "7 (a) S " + "x " * 40])
def test_where_the_system_does_not_say_the_uptime_is_unknown(tmp_path: Path, monkeypatch, content: str) -> None:
    stat = tmp_path / "stat"
    stat.write_text(content)
    monkeypatch.setattr(clock, "_THREAD_STAT", stat)
    assert uptime() is None
    stat.unlink()
    assert uptime() is None


def test_a_boot_has_an_id(tmp_path: Path, monkeypatch) -> None:
    assert boot_id() == boot_id()
    assert boot_id()
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "missing")
    assert boot_id() is None


def test_on_macos_the_system_is_asked_by_a_command(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(clock, "_BOOT_COMMAND", ("/bin/echo", "8F1C-77"))
    assert boot_id() == "8F1C-77"
    assert uptime() is not None
    for command in (("/bin/true",), ("/does/not/exist",)):
        monkeypatch.setattr(clock, "_BOOT_COMMAND", command)
        assert boot_id() is None
