"""`batcher status`: the jobs, or one job whole."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from batcher.clock import SystemClock
from batcher.domain.lanes import KnownLimits, LaneKey, LaneMemory
from batcher.domain.messages import Cause
from batcher.domain.outcomes import PauseCause
from batcher.domain.states import PauseReason, PauseScope
from batcher.services.monitor.status import timestamp
from batcher.store.jobs import jobs
from batcher.store.queue import lanes, pauses, runners
from tests.support.commands import batcher, job_file, line
from tests.support.jobs import claimed_by_a_runner, live_runner, rows, run_job, store_in
from tests.support.stores import START


def test_without_a_store_it_says_how_to_make_a_job_and_makes_no_file(folder):
    called = batcher("status")
    assert (called.code, called.err) == (0, "")
    assert "there are no jobs in batcher.db yet" in called.out
    assert "batcher run FILE" in called.out
    assert list(folder.iterdir()) == []


def test_without_a_store_the_json_is_an_empty_list(folder):
    assert batcher("status", "--json").json == {"data": []}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [["status"], ["dlq", "list"], ["dlq", "summary"], ["dlq", "show", "1"], ["cache", "stats"], ["resume"]],
)
@pytest.mark.parametrize("by_flag", [True, False])
def test_a_store_that_a_person_named_must_be_there(folder, command, by_flag, monkeypatch):
    if not by_flag:
        monkeypatch.setenv("BATCHER_DB", "typo.db")
    called = batcher(*command, *(["--db", "typo.db"] if by_flag else []))
    assert (called.code, called.out) == (2, "")
    assert "there is no store at typo.db" in called.err
    assert list(folder.iterdir()) == []


def test_resume_of_a_job_makes_no_store_to_look_for_it(folder):
    called = batcher("resume", "3")
    assert called.code == 2
    assert "there is no job 3" in called.err
    assert list(folder.iterdir()) == []


def test_the_table_has_a_line_for_each_job(folder):
    run_job(folder, rows(answered=2, dead=1), name="first")
    run_job(folder, rows(pending=2), name="second")
    lines = batcher("status").out.splitlines()
    head = ["job", "name", "state", "answered", "dead", "letters", "cached", "endpoint", "key", "when"]
    assert lines[0].split() == head
    assert lines[1].split()[:6] == ["1", "first", "completed", "2/3", "1", "0"]
    assert lines[2].split()[:6] == ["2", "second", "interrupted", "0/2", "0", "0"]


def test_the_list_as_json_holds_each_job_whole(folder):
    run_job(folder, rows(answered=1), name="first")
    run_job(folder, rows(answered=1), name="second")
    listed = batcher("status", "--json").json["data"]
    assert listed == [batcher("status", name, "--json").json for name in ("first", "second")]


def test_one_job_as_json_has_the_keys_of_the_contract(folder):
    run_job(folder, rows(answered=2, dead=1), name="gsm8k", limits={"rpm": 500})
    whole = batcher("status", "gsm8k", "--json").json
    assert whole["counts"] == {
        "total": 3,
        "pending": 0,
        "claimed": 0,
        "completed": 2,
        "dead_lettered": 1,
        "cancelled": 0,
    }
    assert (whole["job"], whole["state"], whole["paused"], whole["attempts"]) == (1, "completed", None, 3)
    assert whole["tokens"] == {"input": 9, "output": 12, "total": 21}
    assert {"cached", "rate_limited", "cost_usd", "lanes", "created_at", "started_at", "finished_at"} < set(whole)
    assert {"endpoint", "model", "rpm", "tpm", "source", "binding", "utilization", "in_flight"} < set(
        whole["lanes"][0]
    )


def test_a_job_is_found_by_number_and_by_name(folder):
    run_job(folder, rows(answered=1), name="gsm8k")
    assert batcher("status", "1").out == batcher("status", "gsm8k").out


@pytest.mark.parametrize(
    ("of", "next_command"),
    [
        (rows(answered=1), "next: batcher results 1"),
        (rows(answered=1, dead=1), "next: batcher dlq summary --job 1"),
        (rows(answered=1, pending=1), "next: batcher resume 1"),
    ],
)
def test_it_names_the_next_command(folder, of, next_command):
    run_job(folder, of)
    assert batcher("status", "1").out.splitlines()[-1] == next_command


def test_a_wanted_job_is_running_only_while_a_runner_lives(folder):
    job = run_job(folder, rows(answered=1, pending=1))
    with store_in(folder) as database, database.write() as connection:
        jobs.want(connection, [job.id])
        runners.start(connection, pid=7, host="here", boot=None, now=START)
    assert batcher("status", "1", "--json").json["state"] == "interrupted"
    with live_runner(folder):
        assert batcher("status", "1", "--json").json["state"] == "running"
        assert "runner      pid 7" in batcher("status", "1").out


def test_in_flight_is_what_was_sent_not_what_is_claimed(folder):
    job = run_job(folder, rows(answered=1, pending=9))
    claimed_by_a_runner(folder, job, claimed=5, sending=2)
    with live_runner(folder):
        assert "10: 1 answered, 2 in flight, 7 pending" in batcher("status", "1").out
        whole = batcher("status", "1", "--json").json
    assert (whole["in_flight"], whole["counts"]["claimed"], whole["counts"]["pending"]) == (2, 5, 4)
    assert "10: 1 answered, 9 pending" in batcher("status", "1").out
    assert batcher("status", "1", "--json").json["in_flight"] == 0


@pytest.mark.parametrize(
    ("of", "errors"),
    [
        (rows(answered=1, dead=1), "out.errors.jsonl"),
        (rows(answered=2), None),
        (rows(answered=1, dead=1, pending=1), None),
    ],
)
def test_of_a_finished_job_the_errors_file_is_named_where_rows_died(folder, of, errors):
    job = run_job(folder, of)
    with store_in(folder) as database, database.write() as connection:
        jobs.remember(connection, job.id, output_path=str(folder / "out.jsonl"))
    assert batcher("status", "1", "--json").json["errors"] == (errors and str(folder / errors))
    assert ("errors      out.errors.jsonl" in batcher("status", "1").out) == (errors is not None)


def test_a_pause_shows_its_reason_its_message_and_what_mends_it(folder):
    job = run_job(folder, rows(pending=1))
    cause = PauseCause(
        scope=PauseScope.JOB,
        reason=PauseReason.CREDENTIALS,
        message="Incorrect API key",
        fix=Cause.TEXT(text="give another key"),
    )
    with store_in(folder) as database, database.write() as connection:
        pauses.begin(connection, cause, str(job.id), now=START)
    out = batcher("status", "1").out
    assert "job 1 (job) paused" in out
    assert "paused (credentials) since 2023-11-14T22:13:20Z" in out
    assert "Incorrect API key" in out
    assert "→ give another key" in out
    assert batcher("status", "1", "--json").json["paused"]["reason"] == "credentials"


@pytest.mark.parametrize("named", ["9", "nobody", "99999999999999999999999"])
@pytest.mark.parametrize("with_store", [True, False])
def test_an_unknown_job_is_wrong_use(folder, named, with_store):
    if with_store:
        run_job(folder, rows(answered=1))
    called = batcher("status", named)
    assert (called.code, called.out) == (2, "")
    assert "there is no job" in called.err


def test_a_name_of_two_jobs_is_wrong_use_and_names_both(folder):
    run_job(folder, rows(answered=1), name="twin", base_url="http://127.0.0.1:1/v1")
    run_job(folder, rows(answered=1), name="twin", base_url="http://127.0.0.1:2/v1")
    called = batcher("status", "twin", "--json")
    assert called.code == 2
    assert "1, 2" in called.json["error"]["message"]


def test_what_moves_a_terminal_is_shown_as_text(folder):
    run_job(folder, rows(answered=1), name="\x1b[2Jevil")
    assert "\x1b" not in batcher("status").out
    assert "\\x1b[2Jevil" in batcher("status", "1").out


def test_a_store_of_another_program_is_named(folder):
    (folder / "batcher.db").write_text(json.dumps({"not": "a store"}) * 100)
    called = batcher("status")
    assert called.code == 1
    assert "is not a store of batcher" in called.err


def test_without_a_runner_a_lane_s_limits_and_its_cool_down_are_those_that_are_stored(folder):
    job = run_job(folder, rows(answered=1, pending=1), name="first")
    key = LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model="m")
    until = SystemClock().now() + 3_600_000_000
    with store_in(folder) as database, database.write() as connection:
        lane = lanes.open_lane(connection, key, now=START)
        memory = LaneMemory(limits=KnownLimits(rpm=600, tpm=90_000))
        lanes.save(connection, replace(lane, memory=memory, cooling_until=until), now=START)
    [shown] = batcher("status", "first", "--json").json["lanes"]
    assert (shown["rpm"], shown["tpm"], shown["source"]) == (600, 90_000, "announced")
    assert (shown["binding"], shown["utilization"], shown["in_flight"]) == ("provider", None, 0)
    assert shown["cooling_until"] == timestamp(until)
    said = batcher("status", "first")
    assert "announced" in said.out
    assert "not known" not in said.out
    assert f"cooling down until {timestamp(until)}" in said.out + said.err


@pytest.mark.usefixtures("folder")
def test_jobs_that_look_alike_are_told_apart_by_their_endpoint_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-mine-0123456789")
    file = job_file(Path("j.jsonl"), line("a"))
    ours, theirs = "http://127.0.0.1:9/v1", "https://api.example.com/v1"
    batcher("submit", file, "--base-url", ours)
    batcher("submit", file, "--base-url", theirs, "--api-key-env", "MINE")
    first, second = batcher("status").out.splitlines()[1:]
    assert ours in first
    assert "OPENAI_API_KEY" in first
    assert theirs in second
    assert "MINE" in second
    assert "MINE" in batcher("status", 2).out
    described = [(job["endpoint"], job["key_env"]) for job in batcher("status", "--json").json["data"]]
    assert described == [(ours, "OPENAI_API_KEY"), (theirs, "MINE")]


@pytest.mark.usefixtures("folder")
def test_several_jobs_are_deleted_together_or_none_is() -> None:
    for name in ("a", "b", "c"):
        batcher("submit", job_file(Path(f"{name}.jsonl"), line(name)), "--base-url", "http://127.0.0.1:9/v1")
    assert batcher("delete", 1, 9, "--yes").code == 2
    called = batcher("delete", 1, "b", 1, "--yes")
    assert called.code == 0
    assert called.out.count("was deleted") == 2
    assert [job["job"] for job in batcher("status", "--json").json["data"]] == [3]
