"""`batcher run`, `submit` and `resume` as the contract says, against a simulated provider on loopback."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.support.commands import batcher, chat, job_file, line
from tests.support.programs import jobs_now, provider, replying, rows, rows_of, run_on

pytestmark = pytest.mark.usefixtures("folder")


def dead(custom_id: str, **more: Any) -> dict[str, Any]:
    """A row that the provider refuses for good."""
    return line(custom_id, chat(custom_id, metadata={"simulate": {"code": "context_length_exceeded"}}, **more))


def answer() -> dict[str, Any]:
    """The least that a chat completion is."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


# --- where results go


def test_results_and_errors_stand_beside_the_file_in_input_order() -> None:
    Path("in").mkdir()
    file = job_file(Path("in/tickets.jsonl"), line("b"), dead("x"), line("a"), dead("w"), line("c"))
    with provider() as server:
        called = run_on(server, file)
    assert called.code == 3
    assert [row["custom_id"] for row in rows_of("in/tickets.results.jsonl")] == ["b", "a", "c"]
    errors = rows_of("in/tickets.errors.jsonl")
    assert [row["custom_id"] for row in errors] == ["x", "w"]
    assert errors[0]["error"] == {
        "code": "context_length_exceeded",
        "message": errors[0]["response"]["body"]["error"]["message"],
        "kind": "permanent",
        "attempts": 1,
    }
    assert "in/tickets.results.jsonl" in called.out
    assert "in/tickets.errors.jsonl" in called.out
    assert "batcher dlq summary --job 1" in called.out


def test_made_up_answers_never_take_the_place_of_real_ones() -> None:
    file = job_file(Path("j.jsonl"), line("a"), dead("b"))
    with provider() as server:
        assert run_on(server, file).code == 3
    real = {path: Path(path).read_bytes() for path in ("j.results.jsonl", "j.errors.jsonl")}
    called = batcher("run", file, "--simulate")
    assert called.code == 3
    assert "j.simulated.results.jsonl" in called.out
    assert {path: Path(path).read_bytes() for path in real} == real
    assert [row["custom_id"] for row in rows_of("j.simulated.results.jsonl")] == ["a"]
    assert [row["custom_id"] for row in rows_of("j.simulated.errors.jsonl")] == ["b"]


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        ("out.jsonl", "out.errors.jsonl"),
        ("out.results.jsonl", "out.errors.jsonl"),
        ("answers", "answers.errors.jsonl"),
    ],
)
def test_the_errors_file_is_named_after_the_results(output: str, errors: str) -> None:
    with provider() as server:
        assert run_on(server, job_file(Path("j.jsonl"), line("a"), dead("b")), "-o", output).code == 3
    assert [row["custom_id"] for row in rows_of(output)] == ["a"]
    assert [row["custom_id"] for row in rows_of(errors)] == ["b"]
    assert not Path("j.results.jsonl").exists()


def test_an_errors_file_from_before_is_removed_when_nothing_is_dead_any_more() -> None:
    flaky = line("x", chat("x", metadata={"simulate": {"status": 400, "code": "weird", "fail_times": 1}}))
    file = job_file(Path("j.jsonl"), line("a"), flaky)
    with provider() as server:
        assert run_on(server, file).code == 3
        assert Path("j.errors.jsonl").exists()
        assert run_on(server, file).code == 3
        again = run_on(server, file, "--retry-dead")
    assert again.code == 0
    assert "1 dead letter" in again.err
    assert not Path("j.errors.jsonl").exists()
    assert {row["custom_id"] for row in rows_of("j.results.jsonl")} == {"a", "x"}
    assert rows_of("j.results.jsonl")[1]["batcher"]["attempts"] == 2


def test_a_result_line_has_openais_shape() -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), line("row-1")))
    (row,) = rows_of("j.results.jsonl")
    assert list(row) == ["id", "custom_id", "response", "error", "batcher"]
    assert row["id"].startswith("batch_req_")
    assert row["response"]["status_code"] == 200
    assert row["response"]["request_id"].startswith("req_")
    assert row["response"]["body"]["choices"][0]["message"]["content"]
    assert row["error"] is None
    assert row["batcher"]["cached"] is False
    assert row["batcher"]["attempts"] == 1


@pytest.mark.parametrize("place", ["j.jsonl", "batcher.db", "missing/out.jsonl", "folder", "-"])
def test_results_are_never_written_over_what_is_dear_or_where_nothing_can_be(place: str) -> None:
    Path("folder").mkdir()
    file = job_file(Path("j.jsonl"), line("a"))
    before = file.read_bytes()
    with provider() as server:
        assert batcher("submit", file, "--base-url", server.url).code == 0
        called = run_on(server, file, "-o", place)
        assert server.requests == 0
    assert called.code == 2
    assert called.err.startswith("error: ")
    assert file.read_bytes() == before


def test_an_errors_file_never_takes_the_place_of_the_job_file() -> None:
    file = job_file(Path("j.errors.jsonl"), line("a"))
    before = file.read_bytes()
    with provider() as server:
        assert run_on(server, file, "-o", "j.jsonl").code == 2
        assert server.requests == 0
    assert file.read_bytes() == before


# --- the same file again


def test_a_second_run_sends_nothing_and_writes_the_same_bytes() -> None:
    file = job_file(Path("j.jsonl"), *rows(30), dead("x"))
    with provider() as server:
        first = run_on(server, file)
        written = Path("j.results.jsonl").read_bytes(), Path("j.errors.jsonl").read_bytes()
        Path("j.results.jsonl").unlink()
        second = run_on(server, file)
        assert server.requests == 31
    assert (first.code, second.code) == (3, 3)
    assert (Path("j.results.jsonl").read_bytes(), Path("j.errors.jsonl").read_bytes()) == written
    assert "nothing is sent" in second.err
    assert len(jobs_now()) == 1


def test_where_nothing_is_left_to_send_no_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    monkeypatch.setenv("MINE", "sk-right")
    elsewhere = ["--base-url", "https://api.example.com/v1", "--api-key-env", "MINE"]
    assert batcher("submit", file, *elsewhere).code == 0
    monkeypatch.delenv("MINE")
    assert batcher("resume", 1).code == 2
    batcher("cancel", 1)
    assert batcher("resume", 1).code == 3
    assert rows_of("j.results.jsonl") == []


def test_a_known_job_is_found_by_content_from_another_path() -> None:
    job_file(Path("j.jsonl"), *rows(3))
    Path("sub").mkdir()
    copy = job_file(Path("sub/copy.jsonl"), *rows(3))
    with provider() as server:
        run_on(server, "j.jsonl")
        called = run_on(server, copy)
        assert server.requests == 3
    assert called.code == 0
    assert "copy.results.jsonl" in called.err
    assert len(jobs_now()) == 1


def test_a_changed_file_is_a_new_job_and_says_so() -> None:
    with provider() as server:
        run_on(server, job_file(Path("j.jsonl"), *rows(3)))
        called = run_on(server, job_file(Path("j.jsonl"), *rows(4)))
    assert "j.jsonl has changed since job 1; this is a new job" in called.err
    assert [(job["job"], job["counts"]["total"]) for job in jobs_now()] == [(1, 3), (2, 4)]
    assert len(rows_of("j.results.jsonl")) == 4


def test_another_base_url_makes_another_job() -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with provider() as one, provider() as other:
        run_on(one, file)
        run_on(other, file)
        assert (one.requests, other.requests) == (1, 1)
    assert len(jobs_now()) == 2


def test_new_makes_a_new_job_of_a_known_file() -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    with provider() as server:
        run_on(server, file)
        called = run_on(server, file, "--new")
        assert server.requests == 6
    assert called.code == 0
    assert [job["job"] for job in jobs_now()] == [1, 2]
    assert "changed" not in called.err


def test_a_job_is_named_after_its_file_or_as_asked() -> None:
    with provider() as server:
        run_on(server, job_file(Path("tickets.jsonl"), line("a")))
        run_on(server, job_file(Path("more.jsonl"), line("b")), "--name", "evals")
        assert run_on(server, job_file(Path("n.jsonl"), line("c")), "--name", "12").code == 2
    assert [job["name"] for job in jobs_now()] == ["tickets", "evals"]
    assert batcher("status", "evals", "--json").json["job"] == 2


def test_a_known_job_keeps_its_name_and_says_so() -> None:
    file = job_file(Path("j.jsonl"), line("a"))
    with provider() as server:
        run_on(server, file)
        called = run_on(server, file, "--name", "other")
    assert called.code == 0
    assert "keeps its name" in called.err
    assert jobs_now()[0]["name"] == "j"


# --- what a file may be


def test_packed_files_stdin_boms_and_line_ends_are_read_alike() -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows(3))
    Path("a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    Path("b.jsonl.zst").write_bytes(zstandard.compress(text.encode()))
    Path("c.jsonl").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").rstrip().encode())
    with provider() as server:
        assert run_on(server, "a.jsonl.gz").code == 0
        assert run_on(server, "b.jsonl.zst", "--new").code == 0
        assert run_on(server, "c.jsonl").code == 0
        assert run_on(server, "-", "--new", stdin=text).code == 0
        assert server.requests == 12
    names = ["a.results.jsonl", "b.results.jsonl", "c.results.jsonl", "stdin.results.jsonl"]
    for name in names:
        assert [row["custom_id"] for row in rows_of(name)] == ["row-0", "row-1", "row-2"]
    assert [job["name"] for job in jobs_now()] == ["a", "b", "c", "stdin"]


def test_bare_bodies_take_their_endpoint_from_messages_or_from_the_flag() -> None:
    file = job_file(
        Path("j.jsonl"),
        {"model": "e", "input": "one"},
        {"custom_id": "mine", "model": "m", "messages": [{"role": "user", "content": "hi"}]},
    )
    with provider() as server:
        refused = run_on(server, file)
        assert (refused.code, server.requests) == (2, 0)
        assert "j.jsonl:1: " in refused.err
        assert "--url /v1/embeddings" in refused.err
        assert run_on(server, file, "--url", "/v1/embeddings").code == 0
        assert run_on(server, file, "--url", "http://elsewhere/v1/embeddings").code == 2
    first, second = rows_of("j.results.jsonl")
    assert (first["custom_id"], first["response"]["body"]["object"]) == ("line-1", "list")
    assert (second["custom_id"], second["response"]["body"]["object"]) == ("mine", "chat.completion")


def test_the_body_goes_out_as_the_files_own_bytes() -> None:
    body = (
        '{"seed": 12345678901234567890,  "model":"m", "temperature": 1.0e0, '
        '"messages": [{"role":"user","content":"\\u00e9"}]}'
    )
    envelope = f'{{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {body}}}'
    file = job_file(Path("j.jsonl"), envelope, body.replace('"model"', '"custom_id": "b", "model"'))
    with replying(lambda *_: (200, answer())) as (server, bodies):
        assert run_on(server, file, "--no-cache").code == 0
    assert sorted(bodies) == [body.encode(), body.encode()]


def test_invalid_lines_are_passed_over_where_that_is_asked_for() -> None:
    file = job_file(Path("j.jsonl"), line("a"), "{broken", line("b"), line("a"), dead("z"), '{"x": 1}')
    with provider() as server:
        called = run_on(server, file, "--skip-invalid")
        assert server.requests == 3
        again = run_on(server, file, "--skip-invalid", "--json")
    assert called.code == 3
    assert "3 invalid lines skipped" in called.out
    assert [row["custom_id"] for row in rows_of("j.results.jsonl")] == ["a", "b"]
    errors = rows_of("j.errors.jsonl")
    assert [(row["batcher"].get("line"), row["error"]["code"]) for row in errors] == [
        (2, "invalid_line"),
        (4, "invalid_line"),
        (None, "context_length_exceeded"),
        (6, "invalid_line"),
    ]
    assert errors[0]["batcher"]["text"] == "{broken"
    assert errors[1]["custom_id"] == "a"
    assert "line 1" in errors[1]["error"]["message"]
    assert (again.code, again.json["rejected"]) == (3, 3)


def test_skipping_every_line_is_an_error() -> None:
    with provider() as server:
        called = run_on(server, job_file(Path("j.jsonl"), "{broken", "[]"), "--skip-invalid")
    assert called.code == 2
    assert jobs_now() == []


# --- the document of --json


KEYS = {
    "job",
    "name",
    "state",
    "paused",
    "counts",
    "cached",
    "attempts",
    "rate_limited",
    "tokens",
    "cost_usd",
    "lanes",
    "created_at",
    "started_at",
    "finished_at",
    "elapsed_seconds",
    "eta_seconds",
}
LANE_KEYS = {
    "endpoint",
    "model",
    "rpm",
    "tpm",
    "source",
    "binding",
    "utilization",
    "in_flight",
    "cooling_until",
    "paused",
}


def test_json_is_one_document_with_the_contracts_keys() -> None:
    file = job_file(Path("j.jsonl"), *rows(3), line("again", chat("row-1")), dead("x"))
    with provider() as server:
        document = run_on(server, file, "--json", "--rpm", "6000").json
    assert set(document) >= KEYS
    assert set(document["lanes"][0]) >= LANE_KEYS
    assert document["state"] == "completed"
    assert document["counts"] == {
        "total": 5,
        "pending": 0,
        "claimed": 0,
        "completed": 4,
        "dead_lettered": 1,
        "cancelled": 0,
    }
    assert (document["cached"], document["attempts"], document["rate_limited"]) == (1, 4, 0)
    assert document["tokens"]["total"] == document["tokens"]["input"] + document["tokens"]["output"] > 0
    assert (document["lanes"][0]["rpm"], document["lanes"][0]["source"]) == (6000, "given")
    assert document["finished_at"].endswith("Z")
    assert batcher("status", 1, "--json").json == document


def test_submit_prints_the_number_of_the_job_new_or_known() -> None:
    file = job_file(Path("j.jsonl"), *rows(3))
    with provider() as server:
        first = batcher("submit", file, "--base-url", server.url)
        second = batcher("submit", file, "--base-url", server.url)
        told = batcher("submit", file, "--base-url", server.url, "--json")
        assert server.requests == 0
        assert (first.code, second.code) == (0, 0)
        assert first.out.splitlines()[0] == second.out.splitlines()[0] == "1"
        assert "batcher resume 1" in first.out + first.err
        assert (told.json["job"], told.json["state"]) == (1, "pending")
        resumed = batcher("resume", "--json")
        assert (resumed.code, resumed.json["state"]) == (0, "completed")
    assert len(rows_of("j.results.jsonl")) == 3
    assert "finished" in batcher("submit", file, "--base-url", server.url).err


def test_resume_runs_every_unfinished_job_or_the_named_ones() -> None:
    with provider() as server:
        for name in ("a", "b", "c"):
            batcher("submit", job_file(Path(f"{name}.jsonl"), line(name)), "--base-url", server.url)
        assert batcher("resume", "b").code == 0
        assert [job["state"] for job in jobs_now()] == ["pending", "completed", "pending"]
        both = batcher("resume", "--json")
        assert [job["job"] for job in both.json["data"]] == [1, 3]
        assert batcher("resume", "--json").json == {"data": []}
        assert batcher("resume", 9).code == 2
        assert batcher("resume", "nobody").code == 2
    assert all(Path(f"{name}.results.jsonl").exists() for name in ("a", "b", "c"))


def test_retrying_dead_letters_says_what_is_sent_again() -> None:
    flaky = line("x", chat("x", metadata={"simulate": {"status": 400, "code": "weird", "fail_times": 1}}))
    file = job_file(Path("j.jsonl"), *rows(2), flaky)
    with provider() as server:
        run_on(server, file)
        called = run_on(server, file, "--retry-dead")
        assert server.requests == 4
    assert called.code == 0
    assert "nothing is sent" not in called.err


def test_results_that_cannot_be_written_do_not_keep_those_of_other_jobs() -> None:
    Path("gone").mkdir()
    with provider(latency=0.3) as server:

        def vanish() -> None:
            server.wait_for(2)
            Path("gone").rmdir()

        batcher("submit", job_file(Path("a.jsonl"), line("a")), "--base-url", server.url, "-o", "gone/a.jsonl")
        batcher("submit", job_file(Path("b.jsonl"), line("b")), "--base-url", server.url)
        with ThreadPoolExecutor(1) as beside:
            beside.submit(vanish)
            called = batcher("resume", "--json")
    assert called.code == 1
    assert "gone does not exist" in called.err
    assert [job["state"] for job in called.json["data"]] == ["completed", "completed"]
    assert rows_of("b.results.jsonl")


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_socks_proxy_is_refused_before_anything_is_stored(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:hush@127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    file = job_file(Path("j.jsonl"), line("a"))
    called = batcher(command, file, "--base-url", "https://api.invalid/v1")
    assert called.code == 2
    assert "ALL_PROXY names a socks5:// proxy" in called.err
    assert "hush" not in called.err
    assert jobs_now() == []
