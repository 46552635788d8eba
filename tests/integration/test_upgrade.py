"""A store of the last release, with a run half done in it, is upgraded by the command that goes on with it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import batcher
from tests.support.programs import provider_process, rows_of
from tests.support.stores import former_store


def test_resume_upgrades_a_store_of_the_last_release_and_finishes_its_half_done_run(folder: Path) -> None:
    with provider_process(latency=0.01) as server:
        former_store(folder, "0007", base_url=server.url)
        resumed = batcher("resume", "--json")
        sent = server.stats()["answered"]
    assert resumed.code == 0
    job = resumed.json
    assert (job["job"], job["state"], job["counts"]["completed"]) == (2, "completed", 24)
    assert sent == 17
    results = rows_of("half.results.jsonl")
    assert [row["custom_id"] for row in results] == [f"row-{number}" for number in range(1, 25)]
    assert batcher("results", "1", "-o", "one.jsonl").code == 0
    assert len(rows_of("one.jsonl")) == 3


CREDIT = "add credit or turn billing on in the provider's console, then run `batcher resume%s`"
NETWORK = "check --base-url {and} the network, then `batcher resume%s`; with another address "
ADDRESS = "`batcher resume%s --base-url URL`; `batcher cancel %s` gives up the rows that are left"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [(CREDIT % "", CREDIT % " 2"), (NETWORK % "" + ADDRESS % ("", "JOB"), NETWORK % " 2" + ADDRESS % (" 2", "2"))],
)
def test_a_pause_of_the_last_release_names_the_job_that_waits(folder: Path, stored: str, shown: str) -> None:
    with closing(sqlite3.connect(former_store(folder, "0007"))) as connection, connection:
        pause = "INSERT INTO pauses (scope, ref, reason, message, fix, since) VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(pause, ("key", "1:OPENAI_API_KEY", "quota", "You exceeded your quota", stored, 1))
    assert batcher("db", "upgrade").code == 0
    status = batcher("status", "2")
    assert "job 2 (half) paused" in status.out
    assert shown in " ".join(status.out.split())
    assert batcher("status", "2", "--json").json["paused"]["fix"] == shown
