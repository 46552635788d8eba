"""Environments that public reports show: what they hold changes nothing (docs/reliability.md)."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import batcher as package
from tests.support.commands import batcher, job_file, line
from tests.support.programs import provider, rows, rows_of, running

pytestmark = pytest.mark.usefixtures("folder")

#: Modules that the program and its helper processes import.
SHADOWED = ("json", "random", "secrets", "queue", "types", "email", "decimal", "msgspec", "jsonschema", "batcher")


def test_files_named_like_modules_are_not_imported() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    for name in SHADOWED:
        Path(f"{name}.py").write_text(f"raise SystemExit('{name}.py was imported')")
    job_file(
        Path("j.jsonl"), *(line(f"r{i}", {**rows(1)[0]["body"], "response_format": schema}) for i in range(3))
    )
    script = Path(sys.executable).with_name("batcher")
    called = subprocess.run([script, "run", "j.jsonl", "--simulate"], capture_output=True, text=True, check=False)
    assert called.returncode == 0, called
    assert len(rows_of("j.simulated.results.jsonl")) == 3


def test_an_empty_variable_is_an_unset_one() -> None:
    file = job_file(Path("j.jsonl"), *rows(1))
    empty = {"OPENAI_BASE_URL": "", "BATCHER_DB": "", "SSL_CERT_FILE": "", "HTTPS_PROXY": "", "OPENAI_API_KEY": ""}
    with running("run", file, **empty) as program:
        code, _, said = program.end()
    assert (code, "OPENAI_API_KEY is empty" in said, "keys go to api.openai.com" in said) == (2, True, True), said


def test_a_run_in_a_thread_without_streams_needs_neither_signals_nor_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    summaries = []
    with provider() as server:
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        thread = threading.Thread(
            target=lambda: summaries.append(package.run_file(file, base_url=server.url, output="out.jsonl"))
        )
        thread.start()
        thread.join(30)
    assert [summary.completed for summary in summaries] == [3]


def test_a_name_that_is_too_long_for_its_results_is_refused_before_anything_is_stored() -> None:
    name = "a" * 249
    file = job_file(Path(f"{name}.jsonl"), *rows(1))
    for args in ([file], [job_file(Path("j.jsonl"), *rows(1)), "-o", f"{name}.jsonl"]):
        called = batcher("run", *args, "--simulate")
        assert (called.code, "File name too long" in called.err) == (2, True), called
    assert batcher("run", file, "--simulate", "-o", "out.jsonl").code == 0
