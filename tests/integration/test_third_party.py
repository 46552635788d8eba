"""Runs against servers that nobody here wrote, in build/tools (`make tools`); skipped where they are absent."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "build" / "tools"
ROWS = 500


def tool(name: str, place: str) -> str:
    """The tool's program, or a skip."""
    found = shutil.which(name, path=os.fspath(TOOLS / place))
    if found is None:
        pytest.skip(f"{name} is not installed in build/tools: `make tools` does")
    return found


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(command: list[str], port: int) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            deadline = time.monotonic() + 30
            while not listens(port):
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def listens(port: int) -> bool:
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def run(folder: Path, url: str) -> dict[str, object]:
    """Run a job of distinct rows through the server; its status at the end."""
    with (folder / "job.jsonl").open("w") as file:
        for number in range(ROWS):
            message = {"role": "user", "content": f"Question {number}: how many apples?"}
            body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 16}
            line = {"custom_id": f"row-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            file.write(json.dumps(line) + "\n")
    command = [sys.executable, "-m", "batcher", "run", "job.jsonl", "--base-url", f"{url}/v1", "--json", "-q"]
    environ = {**os.environ, "OPENAI_API_KEY": "sk-made-up-for-tests"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, timeout=540, check=False)
    assert done.returncode == 0, done.stderr.decode()
    status: dict[str, object] = json.loads(done.stdout)
    return status


def answered(status: dict[str, object]) -> object:
    counts = status["counts"]
    assert isinstance(counts, dict)
    return counts["completed"]


@pytest.mark.timeout(600)
def test_llmock_that_refuses_and_fails_is_answered_whole_and_finds_no_fault_with_us(tmp_path):
    llmock, port = tool("llmock", "llmock/bin"), free_port()
    rates = [part for rate in ("429=0.2", "500=0.1", "503=0.05") for part in ("--error-rate", rate)]
    with serving([llmock, "serve", "-h", "127.0.0.1", "-p", str(port), *rates, "--report"], port) as url:
        status = run(tmp_path, url)
        report = subprocess.run([llmock, "report", "--url", url], capture_output=True, check=False)
    assert answered(status) == ROWS
    assert report.returncode == 0, report.stdout.decode()


@pytest.mark.timeout(600)
def test_aimock_that_drops_and_garbles_is_answered_whole(tmp_path):
    aimock, port = tool("llmock", "aimock/node_modules/.bin"), free_port()
    fixtures = tmp_path / "fixtures.json"
    answer = {"match": {"userMessage": "Question"}, "response": {"content": "forty two"}}
    fixtures.write_text(json.dumps({"fixtures": [answer]}))
    chaos = ["--chaos-drop", ".15", "--chaos-malformed", ".15", "--log-level", "silent"]
    with serving([aimock, "-p", str(port), "-h", "127.0.0.1", "-f", str(fixtures), *chaos], port) as url:
        status = run(tmp_path, url)
    assert answered(status) == ROWS
