"""Host programs that move and fork while a `Batcher` is open."""

from pathlib import Path

import pytest

from batcher import Batcher, run_file
from tests.support.commands import chat, job_file
from tests.support.programs import Provider, provider, rows

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def server():
    with provider() as listening:
        yield listening


async def test_the_working_directory_may_change_while_a_store_is_open(
    server: Provider, tmp_path, monkeypatch
) -> None:
    here = Path.cwd()
    queue = Batcher(db="my.db", base_url=server.url)
    monkeypatch.chdir("/")
    async with queue:
        assert queue._process.db == str(here / "my.db")
        job = await queue.submit([chat("x")], key="a")
        monkeypatch.chdir(tmp_path)
        assert len([result async for result in queue.run(job)]) == 1
        monkeypatch.chdir("/")
        await queue.submit([chat("y")], key="b")
    assert (here / "my.db").exists()


def test_results_are_written_where_they_were_meant_to_go(server: Provider, monkeypatch) -> None:
    here = Path.cwd()
    job_file(Path("j.jsonl"), *rows(3))

    def key() -> str:
        monkeypatch.chdir("/")
        return "sk-of-a-test-and-long-enough"

    summary = run_file("j.jsonl", output="r.jsonl", base_url=server.url, rpm=60_000, api_key=key)
    assert summary.results == "r.jsonl"
    assert len((here / "r.jsonl").read_text().splitlines()) == 3
