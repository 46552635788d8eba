"""Runs a case: a provider in its own process, and `batcher` as a user would."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.rate.cases import Case
from tests.benchmarks.rate.measure import Measured, measure

_BATCHER = (sys.executable, "-m", "batcher")
#: Seconds a case may take longer than it should, before it is given up.
_PATIENCE = 240.0
#: Seconds between two kills.
_BETWEEN_KILLS = 10.0


def run_case(case: Case, seconds: float) -> tuple[Measured, int]:
    """Run it in a folder of its own. Returns what was measured and how many rows there were."""
    rows = case.rows(seconds)
    with tempfile.TemporaryDirectory(prefix="bench-rate-") as folder:
        here = Path(folder)
        (here / "job.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with _provider(case, here) as url:
            _run(case, here, url, seconds)
        return measure(case, rows, here / "journal.jsonl", here / "results.jsonl"), len(rows)


@contextmanager
def _provider(case: Case, here: Path) -> Iterator[str]:
    command = [*_BATCHER, "simulate", "--port", "0", "--latency", "0.5", "--journal", "journal.jsonl"]
    with subprocess.Popen(
        [*command, *case.provider], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.send_signal(signal.SIGINT)


def _run(case: Case, here: Path, url: str, seconds: float) -> None:
    options = ["-o", "results.jsonl", "--base-url", url, *case.run]
    command = [*_BATCHER, "run", "job.jsonl", *options]
    for _ in range(case.kills):
        if not _killed(command, here):
            raise RuntimeError(f"{case.name}: it ended before it could be killed")
        command = [*_BATCHER, "resume"]
    done = subprocess.run(
        command, cwd=here, check=False, capture_output=True, text=True, timeout=seconds + _PATIENCE
    )
    if done.returncode:
        raise RuntimeError(f"{case.name}: exit {done.returncode}: {done.stderr}")


def _killed(command: list[str], here: Path) -> bool:
    """Run the command and kill it after a while; False: it ended before."""
    with subprocess.Popen(command, cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(_BETWEEN_KILLS)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        return False
