"""A run that may open few files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import job_file
from tests.support.programs import provider, rows, rows_of

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize("limit", ["-n 48", "-n 100", "-Sn 30"])
@pytest.mark.parametrize("given", [(), ("--concurrency", "200")])
def test_every_row_is_answered_and_none_sent_twice(limit: str, given: tuple[str, ...]) -> None:
    file = job_file(Path("j.jsonl"), *rows(150))
    with provider(latency=0.2, latency_sigma=0) as server:
        shell = f'ulimit {limit}; exec "$0" -m batcher "$@"'
        command = [
            "bash",
            "-c",
            shell,
            sys.executable,
            "run",
            str(file),
            "--base-url",
            server.url,
            "--json",
            *given,
        ]
        called = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        assert called.returncode == 0, called.stderr
        assert server.requests == 150
    status = json.loads(called.stdout)
    assert (status["counts"]["completed"], status["attempts"]) == (150, 150)
    assert len(rows_of("j.results.jsonl")) == 150
