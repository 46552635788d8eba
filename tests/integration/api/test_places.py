"""Host programs that move and fork while a `Batcher` is open."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batcher import Batcher, run_file
from tests.support.commands import chat, job_file
from tests.support.programs import Provider, provider, rows, rows_of, running

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


FORKING = """
import asyncio, os, sys, time
from batcher import Batcher

async def main():
    async with Batcher(base_url=sys.argv[1], concurrency=4) as queue:
        done = 0
        async for result in queue.run(await queue.submit("j.jsonl")):
            done += 1
            if done == 5:
                {fork}
asyncio.run(main())
"""
#: What a host program does in the middle of a run; the child lives on.
FORKS = {
    "os.fork": "os.fork() or time.sleep(60)",
    "multiprocessing": (
        "import multiprocessing as mp; mp.get_context('fork').Process(target=time.sleep, args=(60,)).start()"
    ),
}


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS)
def test_a_child_that_was_forked_keeps_no_job_of_a_parent_that_was_killed(fork: str) -> None:
    job_file(Path("j.jsonl"), *rows(60))
    Path("host.py").write_text(FORKING.format(fork=fork), encoding="utf-8")
    with provider(latency=0.2, latency_sigma=0) as slow:
        host = subprocess.Popen([sys.executable, "host.py", slow.url], start_new_session=True)
        try:
            slow.wait_for(20)
            host.kill()
            host.wait(10)
            with running("resume", "--concurrency", 30) as program:
                assert program.end(within=30)[0] == 0
        finally:
            os.killpg(host.pid, signal.SIGKILL)
        assert len(rows_of("j.results.jsonl")) == 60
        assert slow.requests <= 60 + 2 * 4


SPAWNING = """
import asyncio, multiprocessing, sys
import batcher

def work(number):
    return batcher.run_file("j.jsonl", db=f"{number}.db", output=f"{number}.jsonl", base_url=sys.argv[1]).completed

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        print(sum(pool.map(work, range(2))))
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_each_process_of_a_pool_runs_a_store_of_its_own(server: Provider, method: str) -> None:
    job_file(Path("j.jsonl"), *rows(5))
    Path("pool.py").write_text(SPAWNING, encoding="utf-8")
    called = subprocess.run(
        [sys.executable, "pool.py", server.url, method], capture_output=True, text=True, timeout=60, check=False
    )
    assert (called.stdout, called.returncode) == ("10\n", 0), called.stderr
