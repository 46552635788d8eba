"""A folder for every test, and the table of what was done to the program and what came of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

_SETTINGS = ("BATCHER_DB", "OPENAI_BASE_URL", "OPENAI_API_KEY", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY")
_HEAD = ("fault", "times", "rows", "lost", "repeats", "in flight")
_KEY = "torture"

Tell = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test's commands; its store is `batcher.db`."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Adds a line to the table: fault, times, rows, rows lost, repeats, what was in flight when it struck."""

    def add(
        fault: str, *, times: int, rows: int, lost: int | str, repeats: int | str, in_flight: int | str = "-"
    ) -> None:
        record_property(_KEY, (fault, times, rows, lost, repeats, in_flight))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.getreports("passed")
    lines = [value for report in passed for key, value in report.user_properties if key == _KEY]
    if not lines:
        return
    terminalreporter.section("torture")
    table = [_HEAD, *lines]
    widths = [max(len(str(line[column])) for line in table) for column in range(len(_HEAD))]
    for line in table:
        cells = (
            str(cell).ljust(width) if column == 0 else str(cell).rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        terminalreporter.write_line("  ".join(cells))
