"""`Batcher` and `run_file`, as a program uses them."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

import batcher
from batcher import Batcher, InputError, Limits, Paused, Result, run_file
from batcher.domain.errors import BatcherError, UsageError
from tests.support.commands import batcher as command
from tests.support.commands import chat, job_file, line
from tests.support.messages import words
from tests.support.programs import Provider, jobs_now, provider, rows, running, until

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as listening:
        yield listening


async def all_of(queue: Batcher, job: Any) -> list[Result]:
    return [result async for result in queue.run(job)]


async def gather(queue: Batcher, job: Any, into: list[str]) -> None:
    async for result in queue.run(job):
        into.append(result.custom_id)  # noqa: PERF401 - what came before an error is kept


def refused(custom_id: str) -> dict[str, Any]:
    return line(custom_id, chat(custom_id, metadata={"simulate": {"code": "context_length_exceeded"}}))


async def test_every_row_comes_once_with_its_answer_or_its_error(server: Provider) -> None:
    job_file(Path("j.jsonl"), *rows(50), refused("bad"), line("again", chat("row-7")))
    async with Batcher(base_url=server.url, limits=Limits(rpm=60_000)) as queue:
        job = await queue.submit("j.jsonl")
        results = {result.custom_id: result for result in await all_of(queue, job)}
    assert (job.total, job.is_new, len(results)) == (52, True, 52)
    assert results["row-3"].json()["choices"][0]["message"]["content"]
    assert isinstance(results["row-3"].body, bytes)
    assert (results["row-3"].error, results["row-3"].status_code, results["row-3"].line) == (None, 200, 4)
    error = results["bad"].error
    assert error is not None
    assert (error.code, error.kind, error.attempts) == ("context_length_exceeded", "permanent", 1)
    assert "context_length_exceeded" in str(error)
    assert results["again"].cached
    assert server.requests == 51


async def test_an_iterable_is_a_job_and_its_key_finds_it_again(server: Provider) -> None:
    bodies = (chat(f"text {number}") for number in range(20))
    async with Batcher(base_url=server.url) as queue:
        job = await queue.submit(bodies, key="evals-7")
        assert len(await all_of(queue, job)) == 20
    async with Batcher(base_url=server.url) as queue:
        again = await queue.submit([chat("something else")], key="evals-7")
        assert (again.id, again.is_new) == (job.id, False)
        results = await all_of(queue, again)
        other = await queue.submit([line("own-id", chat("something else"))], key="evals-8")
        assert [result.custom_id for result in await all_of(queue, other)] == ["own-id"]
    assert {result.custom_id for result in results} == {f"line-{number}" for number in range(1, 21)}
    assert server.requests == 21


async def test_results_from_before_come_too_and_once() -> None:
    job_file(Path("j.jsonl"), *rows(60))
    with provider(latency=0.05) as server:
        async with Batcher(base_url=server.url, concurrency=4) as queue:
            job = await queue.submit("j.jsonl")
            first = []
            async with aclosing(queue.run(job)) as results:
                async for result in results:
                    first.append(result.custom_id)
                    if len(first) == 10:
                        break
            done = queue.status(job).counts
            assert (done["claimed"], done["completed"]) == (0, server.requests)
            assert done["pending"] > 30
            second = [result.custom_id async for result in queue.run(job)]
        assert server.requests == 60
    assert sorted(second) == sorted(f"row-{number}" for number in range(60))
    assert set(first) <= set(second)


async def test_leaving_the_block_in_the_middle_of_a_run_drains_it() -> None:
    job_file(Path("j.jsonl"), *rows(60))
    with provider(latency=0.1) as server:
        async with Batcher(base_url=server.url, concurrency=4) as queue:
            results = queue.run(await queue.submit("j.jsonl"))
            await anext(results)
        counts = jobs_now()[0]["counts"]
        assert (counts["claimed"], counts["completed"]) == (0, server.requests)
        await results.aclose()


async def test_a_pause_is_raised_after_the_last_result() -> None:
    poor = line("poor", {**chat("q"), "model": "poor", "metadata": {"simulate": {"code": "insufficient_quota"}}})
    job_file(Path("j.jsonl"), *rows(5), poor)
    got: list[str] = []
    with provider() as server:
        async with Batcher(base_url=server.url) as queue:
            job = await queue.submit("j.jsonl")
            with pytest.raises(Paused) as paused:
                await gather(queue, job, got)
    assert paused.value.reason == "quota"
    assert "batcher resume" in words(paused.value.fix)
    assert set(got) <= {f"row-{number}" for number in range(5)}
    assert len(got) == len(set(got)) == jobs_now()[0]["counts"]["completed"]


async def test_the_key_may_be_a_callable_and_is_asked_anew_each_run() -> None:
    job_file(Path("j.jsonl"), *rows(10))
    keys = iter(["sk-the-wrong-one", "sk-the-right-one"])
    with provider(api_key="sk-the-right-one") as server:
        async with Batcher(base_url=server.url, api_key=lambda: next(keys)) as queue:
            job = await queue.submit("j.jsonl")
            with pytest.raises(Paused, match="key"):
                await all_of(queue, job)
            assert len(await all_of(queue, job)) == 10
    with closing(sqlite3.connect("batcher.db")) as store:
        assert not any("sk-the" in dump for dump in store.iterdump())


async def test_a_missing_key_is_an_error_before_anything_is_stored_or_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_file(Path("j.jsonl"), *rows(2))
    async with Batcher(base_url="https://api.example.com/v1") as queue:
        with pytest.raises(UsageError, match="OPENAI_API_KEY is not set"):
            await queue.submit("j.jsonl")
        assert jobs_now() == []
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        job = await queue.submit("j.jsonl")
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(UsageError, match="OPENAI_API_KEY is not set"):
            await all_of(queue, job)


async def test_bad_lines_are_listed_and_nothing_is_stored(server: Provider) -> None:
    async with Batcher(base_url=server.url) as queue:
        with pytest.raises(InputError) as refusal:
            await queue.submit([chat("good"), {"model": "m"}, {"stream": True}])
        with pytest.raises(UsageError, match="row 2"):
            await queue.submit([chat("good"), ["no mapping"]])  # type: ignore[list-item]
    assert [bad.line for bad in refusal.value.bad] == [2, 3]
    assert jobs_now() == []


async def test_a_slow_consumer_slows_sending(server: Provider) -> None:
    job_file(Path("j.jsonl"), *rows(2_000))
    async with Batcher(base_url=server.url, concurrency=16) as queue:
        results = queue.run(await queue.submit("j.jsonl"))
        taken = [(await anext(results)).custom_id for _ in range(3)]
        before = -1
        while before != (before := server.requests):
            await asyncio.sleep(0.5)
        assert before < 1_000
        taken += [result.custom_id async for result in results]
    assert len(taken) == len(set(taken)) == 2_000
    assert server.requests == 2_000


async def test_known_jobs_take_over_the_settings_that_are_given(server: Provider) -> None:
    job_file(Path("j.jsonl"), *rows(2))
    async with Batcher(base_url=server.url, limits=Limits(rpm=100)) as queue:
        await queue.submit("j.jsonl")
    async with Batcher(base_url=server.url, limits=Limits(rpm=6_000), timeout=5) as queue:
        job = await queue.submit("j.jsonl")
        assert queue.status(job).lanes[0].rpm == 6_000
        assert queue.status("j").job == job.id
        assert len(await all_of(queue, job.id)) == 2


async def test_a_job_that_another_process_runs_gives_its_results_here_too() -> None:
    one, two = job_file(Path("one.jsonl"), *rows(12, "one")), job_file(Path("two.jsonl"), *rows(6, "two"))
    with (
        provider(latency=0.3, latency_sigma=0) as server,
        running("run", one, "--base-url", server.url, "--concurrency", 2) as other,
    ):
        await asyncio.to_thread(server.wait_for, 1)
        async with Batcher(base_url=server.url) as queue:
            results = await all_of(queue, await queue.submit(two))
        assert other.end()[0] == 0
        assert server.requests == 18
    assert sorted(result.custom_id for result in results) == [f"two-{number}" for number in range(6)]


def test_run_file_writes_what_the_command_would(server: Provider) -> None:
    job_file(Path("j.jsonl"), *rows(5), refused("bad"))
    summary = run_file("j.jsonl", base_url=server.url, rpm=60_000)
    assert (summary.completed, summary.dead_lettered, summary.total) == (5, 1, 6)
    assert (summary.results, summary.errors) == ("j.results.jsonl", "j.errors.jsonl")
    written = Path("j.results.jsonl").read_bytes()
    assert command("run", "j.jsonl", "--base-url", server.url).code == 3
    assert Path("j.results.jsonl").read_bytes() == written
    again = batcher.run_file("j.jsonl", base_url=server.url, output="there.jsonl")
    assert Path(again.results).read_bytes() == written
    assert server.requests == 6


async def test_run_file_works_where_a_loop_runs_already(server: Provider) -> None:
    job_file(Path("j.jsonl"), *rows(3))
    assert run_file("j.jsonl", base_url=server.url).completed == 3
    with pytest.raises(InputError):
        run_file("missing.jsonl", base_url=server.url)


@pytest.mark.parametrize("place", ["j.jsonl", "batcher.db", "missing/out.jsonl"])
def test_run_file_writes_over_nothing_dear(server: Provider, place: str) -> None:
    before = job_file(Path("j.jsonl"), *rows(1)).read_bytes()
    with pytest.raises(UsageError):
        run_file("j.jsonl", base_url=server.url, output=place)
    assert Path("j.jsonl").read_bytes() == before
    assert server.requests == 0


async def test_a_batcher_that_is_not_open_says_so() -> None:
    with pytest.raises(UsageError, match="not open"):
        await Batcher(simulate=True).submit([chat()])


async def test_a_cancelled_run_stops_at_once_and_loses_nothing() -> None:
    job_file(Path("j.jsonl"), *rows(8))
    with provider(latency=60) as server:

        async def work() -> None:
            async with Batcher(base_url=server.url) as queue:
                await all_of(queue, await queue.submit("j.jsonl"))

        task = asyncio.create_task(work())
        await asyncio.to_thread(until, lambda: server.requests >= 1)
        task.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({task})
        assert task.cancelled()
    counts = jobs_now()[0]["counts"]
    assert (counts["pending"], counts["claimed"]) == (8, 0)


def test_importing_the_package_costs_little_and_names_what_there_is() -> None:
    assert {"Batcher", "Limits", "run_file", "Paused"} <= set(batcher.__all__)
    assert issubclass(Paused, BatcherError)
    assert json.dumps(batcher.__version__)
    with pytest.raises(AttributeError):
        batcher.nothing  # noqa: B018 - looked up for its error
