"""A store of the last release, with a run half done in it, is upgraded by the command that goes on with it."""

from pathlib import Path

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
