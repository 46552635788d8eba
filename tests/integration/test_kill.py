"""kill -9 at any moment: every row is answered once on disk, and little is sent twice."""

import time
from collections import Counter
from pathlib import Path

import pytest

from batcher.services.store.open_store import open_existing
from batcher.store.jobs.loading import half_loaded
from tests.support.commands import batcher, job_file
from tests.support.jobs import rows as answered_rows
from tests.support.jobs import run_job
from tests.support.programs import jobs_now, provider_process, rows, rows_of, running, until

pytestmark = pytest.mark.usefixtures("folder")

CONCURRENCY = 32


@pytest.mark.timeout(180)
def test_a_run_killed_twice_and_resumed_repeats_at_most_what_was_in_flight() -> None:
    count, kills = 5_000, 2
    file = job_file(Path("j.jsonl"), *rows(count))
    journal = Path("journal.jsonl")
    with provider_process(journal=journal, latency=0.05) as server:
        for at in (count // 4, count // 2):
            with running("run", file, "--base-url", server.url, "--concurrency", CONCURRENCY) as program:
                server.wait_for(at)
                program.kill()
            assert not Path("j.results.jsonl").exists()
            (job,) = jobs_now()
            assert job["state"] == "interrupted"
            assert job["counts"]["total"] == count == sum(job["counts"].values()) - count
        with running("run", file, "--base-url", server.url, "--concurrency", CONCURRENCY) as program:
            assert program.end(within=120)[0] == 0
        until(lambda: server.stats()["in_flight"] == 0)
    results = rows_of("j.results.jsonl")
    assert [row["custom_id"] for row in results] == [f"row-{number}" for number in range(count)]
    assert len({row["response"]["body"]["id"] for row in results}) == count
    seen = Counter(entry["body"] for entry in rows_of(journal))
    assert len(seen) == count
    assert sum(seen.values()) - count <= 2 * CONCURRENCY * kills
    assert max(seen.values()) <= 1 + kills


def test_a_submit_that_is_killed_leaves_no_half_job_and_the_next_run_works() -> None:
    file = job_file(Path("j.jsonl"), *rows(30_000))
    with running("submit", file, "--simulate") as program:
        wal = Path("batcher.db-wal")
        until(lambda: wal.exists() and wal.stat().st_size > 1_000_000)
        program.kill()
    assert jobs_now() == []
    assert batcher("resume", "--json").json == {"data": []}
    assert batcher("results").code == 2
    again = batcher("submit", file, "--simulate", "--json")
    assert again.code == 0
    assert again.json["counts"]["pending"] == 30_000
    with open_existing("batcher.db") as database, database.read() as connection:
        assert half_loaded(connection) == []
        assert connection.exec_driver_sql("SELECT count(*) FROM requests").scalar() == 30_000
    assert batcher("run", job_file(Path("k.jsonl"), *rows(3, "other")), "--simulate").code == 0
    assert len(rows_of("k.simulated.results.jsonl")) == 3


def test_what_a_killed_export_left_goes_with_the_next_one() -> None:
    run_job(Path(), answered_rows(answered=2_000))
    for _ in range(20):
        with running("results", "-o", "out.jsonl") as program:
            while not program.is_over and not left_of("out.jsonl"):
                time.sleep(0.0005)
            program.kill()
        if left_of("out.jsonl"):
            break
    assert len(left_of("out.jsonl")) == 1
    assert batcher("results", "-o", "out.jsonl").code == 0
    assert left_of("out.jsonl") == []
    assert len(rows_of("out.jsonl")) == 2_000


def left_of(target: str) -> list[Path]:
    return list(Path().glob(f".{target}.*.tmp"))


@pytest.mark.parametrize("wait", [0.0, 0.2])
def test_a_limit_of_the_day_holds_over_kills(wait: float) -> None:
    file = job_file(Path("j.jsonl"), *rows(500))
    Path("batcher.toml").write_text("[limits]\nrpd = 60\n", encoding="utf-8")
    with provider_process(latency=0.02) as server:
        for _ in range(3):
            before = server.stats()["requests"]
            with running("run", file, "--base-url", server.url, "--concurrency", 8) as program:
                deadline = time.monotonic() + 4
                while server.stats()["requests"] < before + 15 and time.monotonic() < deadline:
                    time.sleep(0.005)
                time.sleep(wait)
                program.kill()
        assert 15 <= server.stats()["requests"] <= 60
