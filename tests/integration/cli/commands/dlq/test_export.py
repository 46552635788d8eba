"""`batcher dlq export` and `discard`: dead letters taken out as a job file, and given up."""

import json

import pytest

from batcher.store.jobs import jobs
from tests.support.commands import answering, batcher, chat, job_file, line
from tests.support.jobs import rows, run_job, store_in
from tests.support.stores import Row, dead_lettered, holder_of, states, stored, submit_rows

ODD = (
    b'{"model" : "m", "messages":[{"role":"user","content":"\\u00e9 \xc3\xa9"}],'
    b'"n":1e0, "seed":123456789012345678901}'
)


@pytest.fixture
def two_jobs(folder):
    """Requests 1 and 2 are job 1's dead letters, 3 is answered; 4 is job 2's."""
    run_job(folder, [*rows(dead=2), *rows(answered=1)], name="first", code="too_long")
    run_job(folder, [Row("bad-odd", body=ODD, path="/v1/responses")], name="second", code="http_502", status=502)
    return folder


def bury_all(folder):
    """Every row of the newest job dies."""
    with store_in(folder) as database:
        with database.read() as connection:
            job = jobs.newest(connection)
        holder = holder_of(database)
        holder.settle(*(dead_lettered(claim) for claim in holder.claim(job).claims))


def lines_of(path):
    return [json.loads(each) for each in path.read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ([], ["bad-0", "bad-1", "bad-odd"]),
        (["--job", "first"], ["bad-0", "bad-1"]),
        (["--code", "http_502"], ["bad-odd"]),
        (["--status", "400"], ["bad-0", "bad-1"]),
        (["2", "4"], ["bad-1", "bad-odd"]),
    ],
)
def test_what_is_meant_is_written_in_file_order(two_jobs, args, found):
    called = batcher("dlq", "export", "-o", "out.jsonl", *args)
    assert (called.code, called.out) == (0, "")
    assert [each["custom_id"] for each in lines_of(two_jobs / "out.jsonl")] == found
    assert f"{len(found)} dead letter" in called.err


@pytest.mark.usefixtures("two_jobs")
def test_a_line_is_an_openai_batch_line_around_the_body_s_own_bytes():
    called = batcher("dlq", "export", "-o", "-", "4")
    assert called.out_bytes == (
        b'{"custom_id": "bad-odd", "method": "POST", "url": "/v1/responses", "body": ' + ODD + b"}\n"
    )
    assert "1 dead letter → stdout" in called.err


def test_the_file_can_be_run_as_it_is(folder):
    job_file(folder / "job.jsonl", line("a", chat("one")), line("b", chat("two")))
    assert batcher("submit", "job.jsonl", "--simulate", "-q").code == 0
    bury_all(folder)
    assert batcher("dlq", "export", "-o", "again.jsonl").code == 0
    assert batcher("run", "again.jsonl", "--simulate", "--new", "-q").code == 0
    assert [each["custom_id"] for each in lines_of(folder / "again.simulated.results.jsonl")] == ["a", "b"]


@pytest.mark.usefixtures("two_jobs")
def test_it_names_the_command_that_runs_the_file_where_the_job_ran():
    err = batcher("dlq", "export", "-o", "out.jsonl").err
    assert "batcher run out.jsonl --new --base-url http://127.0.0.1:8000/v1" in err


def test_of_simulated_jobs_it_names_the_option_that_simulates(folder):
    job_file(folder / "job.jsonl", line("a", chat("one")))
    assert batcher("submit", "job.jsonl", "--simulate", "-q").code == 0
    bury_all(folder)
    err = batcher("dlq", "export", "-o", "again.jsonl").err
    assert err.endswith("batcher run again.jsonl --new --simulate\n")


def test_a_file_that_is_there_is_replaced_only_by_force(two_jobs):
    (two_jobs / "out.jsonl").write_text("mended by hand\n")
    called = batcher("dlq", "export", "-o", "out.jsonl")
    assert called.code == 2
    assert "out.jsonl already exists" in called.err
    assert "--force" in called.err
    assert (two_jobs / "out.jsonl").read_text() == "mended by hand\n"
    assert batcher("dlq", "export", "-o", "out.jsonl", "--force").code == 0
    assert len(lines_of(two_jobs / "out.jsonl")) == 3


def test_a_custom_id_of_two_jobs_cannot_stand_in_one_file(folder):
    run_job(folder, rows(dead=1), name="one")
    run_job(folder, rows(dead=1), name="two")
    called = batcher("dlq", "export", "-o", "out.jsonl")
    assert called.code == 2
    assert 'custom_id "bad-0" occurs in job 1 and in job 2' in called.err
    assert not (folder / "out.jsonl").exists()
    assert batcher("dlq", "export", "-o", "out.jsonl", "--job", "two").code == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-o", "batcher.db"], "is the store"),
        (["-o", "batcher.db-wal"], "is the store"),
        (["-o", "nowhere/out.jsonl"], "does not exist"),
        (["-o", "out.jsonl", "3"], "not among the matching dead letters: 3"),
        (["-o", "out.jsonl", "--job", "nobody"], "there is no job"),
        ([], "'-o'"),
    ],
)
def test_an_export_that_cannot_be_is_refused(two_jobs, args, says):
    called = batcher("dlq", "export", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert not (two_jobs / "out.jsonl").exists()


def test_the_job_file_is_not_overwritten(folder):
    job_file(folder / "job.jsonl", line("a", chat("one")))
    batcher("submit", "job.jsonl", "--simulate", "-q")
    bury_all(folder)
    called = batcher("dlq", "export", "-o", "job.jsonl")
    assert called.code == 2
    assert "is the job file" in called.err


def test_an_export_of_nothing_writes_nothing(two_jobs):
    called = batcher("dlq", "export", "-o", "out.jsonl", "--code", "none")
    assert called.code == 0
    assert "nothing was written" in called.err
    assert not (two_jobs / "out.jsonl").exists()


# --- discard ---


def states_of(folder):
    with store_in(folder) as database:
        return states(database)


@pytest.mark.parametrize(
    ("args", "gone"),
    [
        (["1"], {"bad-0"}),
        (["--job", "first"], {"bad-0", "bad-1"}),
        (["--code", "http_502"], {"bad-odd"}),
        (["--status", "502"], {"bad-odd"}),
        (["--all"], {"bad-0", "bad-1", "bad-odd"}),
    ],
)
def test_what_is_discarded_is_cancelled_and_nothing_else(two_jobs, args, gone):
    called = batcher("dlq", "discard", *args, "--yes")
    assert called.code == 0
    assert f"{len(gone)} dead letter" in called.out
    now = states_of(two_jobs)
    assert {name for name, state in now.items() if state == "cancelled"} == gone
    assert now["good-0"] == "completed"


def test_discarded_rows_are_in_no_file_and_their_job_stays_over(two_jobs):
    called = batcher("dlq", "discard", "--job", "first", "--yes")
    assert "results and errors files written from now on leave them out" in called.out
    assert batcher("status", "first", "--json").json["state"] == "completed"
    done = batcher("results", "first", "-o", "out.jsonl")
    assert done.code == 0
    assert [each["custom_id"] for each in lines_of(two_jobs / "out.jsonl")] == ["good-0"]
    assert not (two_jobs / "out.errors.jsonl").exists()


@pytest.mark.parametrize(("reply", "code", "left"), [("y", 0, 0), ("n", 1, 3)])
@pytest.mark.usefixtures("two_jobs")
def test_it_asks_first(reply, code, left):
    with answering(reply):
        assert batcher("dlq", "discard", "--all").code == code
    assert batcher("dlq", "list", "--json").json["total"] == left


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--all"], "give --yes"),
        (["--yes"], "give REQUEST numbers, a filter, or --all"),
        (["3", "--yes"], "not among the matching dead letters"),
        (["1", "--all", "--yes"], "contradict"),
    ],
)
def test_a_discard_that_nobody_agreed_to_or_meant_is_refused(two_jobs, args, says):
    before = states_of(two_jobs)
    called = batcher("dlq", "discard", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert states_of(two_jobs) == before


def test_a_discard_of_nothing_says_so(two_jobs):
    before = states_of(two_jobs)
    assert "nothing was discarded" in batcher("dlq", "discard", "--code", "none", "--yes").out
    assert states_of(two_jobs) == before


def test_a_leader_that_is_discarded_leaves_its_followers_as_they_are(folder):
    with store_in(folder) as database:
        job = submit_rows(database, [Row("lead", ODD), Row("follow", ODD)])
        holder = holder_of(database)
        holder.settle(*(dead_lettered(claim, "late") for claim in holder.claim(job).claims))
    batcher("dlq", "discard", "1", "--yes")
    assert states_of(folder) == {"lead": "cancelled", "follow": "dead_lettered"}
    (letter,) = batcher("dlq", "list", "--json").json["data"]
    assert (letter["code"], letter["status"], letter["message"]) == ("late", 400, "it was late")
    assert [each["code"] for each in batcher("dlq", "show", "2", "--json").json["history"]] == ["late"]
    batcher("dlq", "retry", "2")
    with store_in(folder) as database:
        assert stored(database)["follow"]["leader_id"] is None
        assert [claim.custom_id for claim in holder_of(database).claim(job).claims] == ["follow"]


@pytest.mark.usefixtures("two_jobs")
def test_a_discarded_row_is_shown_and_cannot_be_put_back():
    batcher("dlq", "discard", "1", "--yes")
    shown = batcher("dlq", "show", "1", "--json").json
    assert (shown["state"], shown["code"], len(shown["history"])) == ("cancelled", "too_long", 1)
    assert batcher("dlq", "retry", "1").code == 2


@pytest.mark.parametrize("command", [["export", "-o", "x"], ["discard", "--all", "--yes"]])
def test_without_a_store_there_is_nothing_to_take(folder, command):
    called = batcher("dlq", *command)
    assert called.code == 2
    assert "no store" in called.err
    assert list(folder.iterdir()) == []
