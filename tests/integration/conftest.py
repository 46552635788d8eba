"""Where commands are run: a folder of the test's own, without the settings of whoever runs the tests."""

import signal
from pathlib import Path

import pytest

_SETTINGS = ("BATCHER_DB", "OPENAI_BASE_URL", "OPENAI_API_KEY", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test's commands; its store is `batcher.db`."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# A suite that was started by nohup, or in the background of a script, would make the program ignore these signals.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
