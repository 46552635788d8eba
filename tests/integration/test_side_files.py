"""The files beside the store: what a clean end leaves behind, and what a crash does."""

import json
import signal
from pathlib import Path

from tests.support.commands import batcher
from tests.support.programs import provider_process, running

LOCKS = {"batcher.db-runner", "batcher.db-write"}


def beside_the_store() -> set[str]:
    return {path.name for path in Path().glob("batcher.db-*")}


def job(rows: int) -> str:
    request = {"method": "POST", "url": "/v1/chat/completions"}
    bodies = ({"model": "m", "messages": [{"role": "user", "content": str(n)}]} for n in range(rows))
    lines = (json.dumps({"custom_id": f"r{n}", **request, "body": body}) for n, body in enumerate(bodies))
    Path("job.jsonl").write_text("\n".join(lines))
    return "job.jsonl"


def test_a_clean_end_leaves_only_the_two_locks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert batcher("submit", job(3), "--simulate").code == 0
    assert beside_the_store() == LOCKS
    assert batcher("run", "job.jsonl", "--new", "--simulate").code == 0
    assert beside_the_store() == LOCKS


def test_a_refused_file_leaves_no_loading_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.jsonl").write_text("{}\n")
    assert batcher("submit", "bad.jsonl", "--simulate").code != 0
    assert not Path("batcher.db").exists()
    assert beside_the_store() == set()
    assert batcher("submit", job(3), "--simulate").code == 0
    assert batcher("submit", "bad.jsonl", "--simulate").code != 0
    assert beside_the_store() == LOCKS


def test_a_killed_run_leaves_its_in_flight_log_and_the_next_clean_end_removes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-side-files-0123456789")
    with provider_process(latency=0.5) as server:
        with running("run", job(50), "--base-url", server.url, "--concurrency", 5) as run:
            server.wait_for(10)
            run.kill()
            run.end()
        assert "batcher.db-flights" in beside_the_store()
        with running("resume") as run:
            server.wait_for(20)
            run.send(signal.SIGINT)
            run.end()
        assert beside_the_store() == LOCKS
        assert batcher("resume").code == 0
    assert beside_the_store() == LOCKS
