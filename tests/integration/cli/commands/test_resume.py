"""What a job remembers, what pauses it and what goes on, and that no key is ever shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import jobs_now, provider, replying, rows, rows_of, run_on

pytestmark = pytest.mark.usefixtures("folder")


def test_a_job_remembers_its_settings_and_a_flag_replaces_them_and_says_so() -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with provider() as server:
        options = ["--rpm", "300", "--max-attempts", "2", "--cache", "deterministic", "-o", "there.jsonl"]
        batcher("submit", file, "--base-url", server.url, *options)
        called = batcher("resume", "--rpm", "600", "--timeout", "30")
    assert "rpm: 600, was 300" in called.err
    assert "timeout: 30 s, was 600 s" in called.err
    assert "attempts" not in called.err
    assert Path("there.jsonl").exists()
    assert jobs_now()[0]["lanes"][0]["rpm"] == 600


def test_resume_moves_the_results_where_it_is_told() -> None:
    with provider() as server:
        batcher("submit", job_file(Path("j.jsonl"), line("a")), "--base-url", server.url)
        called = batcher("resume", "-o", "there.jsonl")
    assert "there.jsonl" in called.err
    assert Path("there.jsonl").exists()
    assert not Path("j.results.jsonl").exists()


def test_the_remembered_key_variable_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    monkeypatch.setenv("MINE", "sk-right")
    elsewhere = ["--base-url", "https://api.example.com/v1"]
    assert batcher("submit", file, *elsewhere, "--api-key-env", "MINE").code == 0
    again = batcher("submit", file, *elsewhere)
    assert (again.code, again.out.splitlines()[0]) == (0, "1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.delenv("MINE")
    assert "MINE is not set" in batcher("submit", file, *elsewhere).err


def test_a_missing_key_is_named_before_anything_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    for command in ("run", "submit"):
        called = batcher(command, file, "--base-url", "https://api.example.com/v1", "--api-key-env", "MY_KEY")
        assert called.code == 2
        assert "MY_KEY is not set" in called.err
    assert jobs_now() == []
    monkeypatch.setenv("MY_KEY", "sk-something")
    batcher("submit", file, "--base-url", "https://api.example.com/v1", "--api-key-env", "MY_KEY")
    monkeypatch.delenv("MY_KEY")
    called = batcher("resume")
    assert called.code == 2
    assert "MY_KEY is not set" in called.err
    assert jobs_now()[0]["counts"]["pending"] == 1


# --- pauses


def test_a_wrong_key_pauses_and_the_right_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), *rows(40))
    with provider(api_key="sk-the-right-one") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-the-wrong-one")
        called = run_on(server, file)
        assert called.code == 4
        assert server.requests <= 9
        assert "OPENAI_API_KEY" in called.out
        assert "batcher resume 1" in called.out
        (job,) = jobs_now()
        assert (job["state"], job["paused"]["reason"]) == ("paused", "credentials")
        assert job["counts"]["pending"] == 40
        assert batcher("dlq", "list", "--json").json["total"] == 0
        assert not Path("j.results.jsonl").exists()

        before = server.requests
        again = batcher("resume", "--json")
        assert (again.code, again.json["state"]) == (4, "paused")
        assert server.requests == before + 2

        monkeypatch.setenv("OPENAI_API_KEY", "sk-the-right-one")
        assert batcher("resume").code == 0
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == [f"row-{number}" for number in range(40)]
    assert {row["batcher"]["attempts"] for row in rows_of("j.results.jsonl")} <= {1, 2, 3}


def test_a_wrong_base_url_pauses_and_resume_mends_it() -> None:
    file = job_file(Path("j.jsonl"), *rows(20))
    with provider() as server:
        called = batcher("run", file, "--base-url", server.url + "x")
        assert called.code == 4
        assert "--base-url" in called.out
        (job,) = jobs_now()
        assert (job["paused"]["reason"], job["counts"]["pending"]) == ("endpoint", 20)
        mended = batcher("resume", "--base-url", server.url)
        assert mended.code == 0
        assert "base URL" in mended.err
        assert run_on(server, file).code == 0
    assert len(rows_of("j.results.jsonl")) == 20
    assert len(jobs_now()) == 1


def test_a_spent_quota_pauses_and_nothing_is_lost() -> None:
    poor = line("q", chat("q", metadata={"simulate": {"code": "insufficient_quota", "fail_times": 1}}))
    with provider() as server:
        called = run_on(server, job_file(Path("j.jsonl"), poor))
        assert called.code == 4
        assert jobs_now()[0]["paused"]["reason"] == "quota"
        assert batcher("resume").code == 0


def test_a_job_that_others_cancelled_in_part_is_not_taken_for_whole() -> None:
    with provider() as server:
        batcher("submit", job_file(Path("j.jsonl"), *rows(5)), "--base-url", server.url)
        batcher("cancel", 1)
        called = batcher("resume", 1)
        assert server.requests == 0
    assert "cancelled" in called.out
    assert called.code == 3


# --- secrets

CANARY = "sk-canary-7f3a9b1c5d8e2f4aXQZ9"


def echo(key: str, _: bytes) -> tuple[int, Any]:
    """A careless provider, which repeats the key in every spelling it knows."""
    key = key.removeprefix("Bearer ")
    masked = f"{key[:5]}{'*' * 16}{key[-4:]}"
    said = f"your key {key} ({masked}; {key[:8]}...{key[-4:]}) may not do this"
    return 400, {"error": {"message": said, "type": "invalid_request_error", "code": "odd", "param": key}}


@pytest.mark.parametrize("replies", [echo, lambda *all_: (401, echo(*all_)[1])], ids=["400", "401"])
def test_the_key_appears_nowhere_even_where_the_provider_echoes_it(
    replies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    file = job_file(Path("j.jsonl"), *rows(3))
    with replying(replies) as (server, bodies):
        called = [
            run_on(server, file, "-v", "--log-file", "log.txt", "--debug"),
            batcher("resume", "-vv", "--log-format", "json"),
            batcher("status", 1, "--json"),
            batcher("dlq", "list"),
            batcher("dlq", "show", 1, "--json"),
            batcher("results", "-o", "-", "--errors", "all.errors.jsonl", "--partial"),
        ]
        assert bodies
    assert called[0].code in {3, 4}
    said = "".join(each.out + each.err for each in called)
    files = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert {"batcher.db", "log.txt"} <= set(files)
    assert "[key]" in said
    for name, data in {**files, "output": said.encode()}.items():
        for part in (CANARY, CANARY[3:], CANARY[-4:]):
            assert part.encode() not in data, name


def test_results_that_a_killed_run_did_not_write_are_written_by_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), line("a"), line("b"))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with provider() as server:
        with monkeypatch.context() as patch:
            patch.setattr("batcher.services.results.export.write_lines", killed)
            assert run_on(server, file).code == 130
        assert jobs_now()[0]["state"] == "completed"
        assert not Path("j.results.jsonl").exists()
        again = batcher("resume")
        assert (again.code, server.requests) == (0, 2)
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == ["a", "b"]
    Path("j.results.jsonl").unlink()
    assert "there is no unfinished job" in batcher("resume").out
    assert not Path("j.results.jsonl").exists()


@pytest.mark.parametrize("then", [("results",), ("run", "j.jsonl")])
def test_results_that_were_written_otherwise_are_not_written_by_resume(
    then: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with provider() as server:
        with monkeypatch.context() as patch:
            patch.setattr("batcher.services.results.export.write_lines", lambda *_: 1 // 0)
            assert run_on(server, file).code == 1
        more = () if then[0] == "results" else ("--base-url", server.url)
        assert batcher(*then, *more).code == 0
    assert rows_of("j.results.jsonl") != []
    assert "there is no unfinished job" in batcher("resume").out


def test_a_finished_job_that_is_tried_again_is_no_runners_until_it_is_resumed() -> None:
    file = job_file(Path("j.jsonl"), line("a", chat("x", model="no-such-model")))
    with replying(lambda *_: (400, {"error": {"message": "no", "code": "bad"}})) as (server, bodies):
        assert run_on(server, file).code == 3
        assert batcher("dlq", "retry", "--all").code == 0
        assert len(bodies) == 1
        assert jobs_now()[0]["state"] == "pending"
        assert batcher("resume").code == 3
        assert len(bodies) == 2


def test_resume_tells_a_single_job_as_run_does_and_several_as_a_list() -> None:
    with provider() as server:
        for name in ("one", "two", "three"):
            file = job_file(Path(f"{name}.jsonl"), line(name))
            assert batcher("submit", file, "--base-url", server.url, "-q").code == 0
        assert batcher("resume", "two", "--json").json["name"] == "two"
        assert [job["name"] for job in batcher("resume", "one", "two", "--json").json["data"]] == ["one", "two"]
        assert batcher("resume", "--json").json["name"] == "three"
        assert batcher("resume", "--json").json == {"data": []}


# --- several unfinished jobs


def submit_at(server: str, name: str, *options: object) -> None:
    called = batcher("submit", job_file(Path(f"{name}.jsonl"), *rows(2, name)), "--base-url", server, *options)
    assert called.code == 0


ELSEWHERE = "https://api.example.com/v1"


def test_jobs_that_can_run_do_so_and_the_others_say_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    with provider() as server:
        submit_at(ELSEWHERE, "a", "--api-key-env", "MINE")
        submit_at(server.url, "b")
        submit_at(server.url, "c", "-o", "b.results.jsonl")
        monkeypatch.delenv("MINE")
        called = batcher("resume", "--json")
        # The advice works.
        assert batcher("resume", 2, "-o", "job-2.results.jsonl").code == 0
    assert called.code == 4
    assert f"not run: job 1 (a) at {ELSEWHERE}: MINE is not set" in called.err
    assert f"not run: job 2 (b) at {server.url}: its results would go to b.results.jsonl" in called.err
    assert [job["state"] for job in called.json["data"]] == ["pending", "pending", "completed"]


def test_if_no_job_can_run_each_is_named_with_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    for name in ("a", "b"):
        submit_at(f"https://{name}.example.com/v1", name, "--api-key-env", "MINE")
    monkeypatch.delenv("MINE")
    called = batcher("resume")
    assert called.code == 2
    for number, name in ((1, "a"), (2, "b")):
        assert f"job {number} ({name}) at https://{name}.example.com/v1: MINE is not set" in called.err
    assert "job 1 (a) at https://a.example.com/v1: MINE is not set" in batcher("resume", 1).err
    assert "job 1 (a) at https://a.example.com/v1: MINE is not set" in batcher("run", "a.jsonl").err
    assert batcher("resume", "--rpm", "many").err.startswith("error: --rpm must be a number")


def test_flags_about_one_endpoint_do_not_move_jobs_that_no_one_named() -> None:
    with provider() as first, provider() as second:
        submit_at(first.url, "a")
        submit_at(second.url, "b")
        called = batcher("resume", "--base-url", first.url)
        assert called.code == 2
        assert f"job 1 (a) at {first.url}; job 2 (b) at {second.url}" in called.err
        assert batcher("resume", 1, 2, "--base-url", first.url).code == 0
        assert (first.requests, second.requests) == (4, 0)


def test_a_finished_job_is_pending_after_a_redrive_and_interrupted_only_after_a_run() -> None:
    bad = line("x", chat("x", metadata={"simulate": {"status": 400, "code": "weird"}}))
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(2), bad))
        batcher("dlq", "retry", "--all")
        (job,) = jobs_now()
        assert (job["state"], job["finished_at"]) == ("pending", None)
        assert batcher("resume").code == 3
        (job,) = jobs_now()
        assert (job["state"], job["finished_at"] is None) == ("completed", False)
