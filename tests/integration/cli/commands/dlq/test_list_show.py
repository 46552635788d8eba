"""`batcher dlq`: dead letters listed, shown, put back."""

import pytest

from batcher.store.jobs import jobs
from batcher.store.queue import runners
from tests.support.commands import batcher
from tests.support.jobs import live_runner, rows, run_job, store_in
from tests.support.stores import START, Row, dead_lettered, holder_of, requeued, submit_rows

LETTER_KEYS = {
    "request",
    "job",
    "line",
    "custom_id",
    "kind",
    "status",
    "code",
    "message",
    "attempts",
    "provider_request_id",
    "dead_lettered_at",
    "advice",
}


@pytest.fixture
def two_jobs(folder):
    """Requests 1 to 3 are job 1's, the last of them answered; 4 and 5 are job 2's."""
    run_job(folder, [*rows(dead=2), *rows(answered=1)], name="first", code="context_length_exceeded")
    run_job(folder, rows(dead=2), name="second", code="http_502", status=502)
    return folder


def listed(*args):
    return batcher("dlq", "list", "--json", *args).json


def numbers(*args):
    return [letter["request"] for letter in listed(*args)["data"]]


@pytest.mark.usefixtures("two_jobs")
def test_a_letter_has_the_keys_of_the_contract():
    found = listed()
    assert found["total"] == 4
    assert found["data"][0] == {
        "request": 1,
        "job": 1,
        "line": 1,
        "custom_id": "bad-0",
        "kind": "permanent",
        "status": 400,
        "code": "context_length_exceeded",
        "message": "it was context_length_exceeded",
        "attempts": 1,
        "provider_request_id": "req_1",
        "dead_lettered_at": "2023-11-14T22:13:20.000Z",
        "advice": found["data"][0]["advice"],
    }
    assert "window" in found["data"][0]["advice"]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ([], [1, 2, 4, 5]),
        (["--job", "1"], [1, 2]),
        (["--job", "second"], [4, 5]),
        (["--code", "http_502"], [4, 5]),
        (["--status", "400"], [1, 2]),
        (["--kind", "permanent"], [1, 2, 4, 5]),
        (["--kind", "transient"], []),
        (["--job", "1", "--status", "502"], []),
    ],
)
@pytest.mark.usefixtures("two_jobs")
def test_filters_narrow_the_list(args, found):
    assert numbers(*args) == found
    assert listed(*args)["total"] == len(found)


@pytest.mark.usefixtures("two_jobs")
def test_a_limit_cuts_the_list_and_not_the_total():
    found = listed("--limit", "1")
    assert [len(found["data"]), found["total"]] == [1, 4]
    assert "1 of 4 listed; --limit N lists more" in batcher("dlq", "list", "--limit", "1").out


@pytest.mark.usefixtures("two_jobs")
def test_the_list_for_people_says_what_to_do_about_each_cause_once():
    out = batcher("dlq", "list").out
    assert out.splitlines()[1].split()[:4] == ["1", "1", "1", "bad-0"]
    assert out.count("context_length_exceeded: The prompt") == 1
    assert out.count("http_502: The provider refuses") == 1


@pytest.mark.parametrize("with_store", [True, False])
def test_an_empty_queue_is_no_error(folder, with_store):
    if with_store:
        run_job(folder, rows(answered=1))
    assert listed() == {"data": [], "total": 0}
    called = batcher("dlq", "list")
    assert (called.code, called.out) == (0, "there are no dead letters\n")
    assert with_store or list(folder.iterdir()) == []


def test_show_has_the_body_and_every_attempt(folder):
    with store_in(folder) as database:
        body = b'{"model": "m", "n": 123456789012345678901234567890, "t": 1.50}'
        job = submit_rows(database, [Row("twice", body=body)])
        holder = holder_of(database)
        holder.settle(requeued(holder.claim(job).claims[0]))
        holder.settle(dead_lettered(holder.claim(job).claims[0], "late", reply=b"<html>no"))
    called = batcher("dlq", "show", "1", "--json")
    shown = called.json
    assert LETTER_KEYS | {"body", "history", "state", "url", "model"} == set(shown)
    assert "123456789012345678901234567890" in called.out
    assert "1.50" in called.out
    first, second = shown["history"]
    assert (first["attempt"], first["status"], first["kind"], first["reply"]) == (1, 429, "transient", None)
    assert second == {
        "attempt": 2,
        "request": 1,
        "revision": 0,
        "time": "2023-11-14T22:13:19.750Z",
        "ended": "2023-11-14T22:13:20.000Z",
        "latency_seconds": 0.25,
        "status": 400,
        "kind": "permanent",
        "code": "late",
        "message": "it was late",
        "provider_request_id": "req_1",
        "retry_after_seconds": None,
        "tokens": {"input": 3, "output": 4},
        "reply": "<html>no",
    }


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (b'{"error": {"message": "no"}}', {"error": {"message": "no"}}),
        (b'{"error": "cut of', '{"error": "cut of'),
        (b'{"half": "\\ud83d"}', '{"half": "\\ud83d"}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_a_reply_is_json_where_it_can_be_read_as_such(folder, reply, shown):
    with store_in(folder) as database:
        job = submit_rows(database, [Row("a", body=b'{"model": "m"}')])
        holder = holder_of(database)
        holder.settle(dead_lettered(holder.claim(job).claims[0], reply=reply))
    assert batcher("dlq", "show", "1", "--json").json["history"][0]["reply"] == shown


@pytest.mark.usefixtures("two_jobs")
def test_show_for_people_ends_in_what_to_do():
    out = batcher("dlq", "show", "1").out
    assert "request 1: job 1, line 1, bad-0" in out
    assert '    "model": "m"' in out
    assert out.splitlines()[-1].startswith("→ The prompt and its max_tokens do not fit")


def test_shown_alone_a_letter_is_advised_by_its_own_number(folder):
    run_job(folder, rows(dead=2), code="odd_value")
    out = batcher("dlq", "show", "2").out
    assert "sent    once" in out
    assert "`batcher dlq retry 2 --set PATH=VALUE`" in out
    assert "dlq show" not in out
    assert "--code" not in out


@pytest.mark.usefixtures("two_jobs")
def test_a_request_that_is_no_dead_letter_is_shown_without_advice():
    shown = batcher("dlq", "show", "3", "--json").json
    assert (shown["state"], shown["advice"], shown["dead_lettered_at"]) == ("completed", None, None)


def test_what_moves_a_terminal_is_shown_as_text(folder):
    with store_in(folder) as database:
        job = submit_rows(database, [Row("\x1b[31mred", body=b'{"model": "m", "x": "\xe2\x80\xae"}')])
        holder = holder_of(database)
        holder.settle(dead_lettered(holder.claim(job).claims[0], "\x1b]0;title\x07"))
    for out in (batcher("dlq", "list").out, batcher("dlq", "show", "1").out):
        assert "\x1b" not in out
        assert "\u202e" not in out


@pytest.mark.parametrize(
    ("args", "back"),
    [
        (["1"], {1}),
        (["1", "5"], {1, 5}),
        (["--job", "second"], {4, 5}),
        (["--code", "context_length_exceeded"], {1, 2}),
        (["--status", "502"], {4, 5}),
        (["1", "2", "--job", "1"], {1, 2}),
        (["--all"], {1, 2, 4, 5}),
    ],
)
@pytest.mark.usefixtures("two_jobs")
def test_retry_puts_back_what_is_meant(args, back):
    called = batcher("dlq", "retry", *args)
    assert called.code == 0
    assert f"{len(back)} dead letter" in called.out
    assert set(numbers()) == {1, 2, 4, 5} - back


@pytest.mark.usefixtures("two_jobs")
def test_retry_opens_the_jobs_again_and_names_the_next_command():
    called = batcher("dlq", "retry", "--all")
    assert called.out.splitlines()[-1] == "next: batcher resume 1 2"
    states_now = [job["state"] for job in batcher("status", "--json").json["data"]]
    assert states_now == ["pending", "pending"]
    assert batcher("status", "1", "--json").json["finished_at"] is None


@pytest.mark.usefixtures("two_jobs")
def test_retry_keeps_the_history():
    batcher("dlq", "retry", "1")
    shown = batcher("dlq", "show", "1", "--json").json
    assert shown["state"] == "pending"
    assert [attempt["code"] for attempt in shown["history"]] == ["context_length_exceeded"]


def test_a_runner_that_works_on_the_job_takes_what_went_back(folder):
    job = run_job(folder, rows(dead=1, pending=1))
    with store_in(folder) as database, database.write() as connection:
        jobs.want(connection, [job.id])
        runners.start(connection, pid=7, host="here", boot=None, now=START)
    with live_runner(folder):
        out = batcher("dlq", "retry", "--all").out
    assert "the runner that is using this store" in out
    assert "batcher resume" not in out


@pytest.mark.usefixtures("two_jobs")
def test_retry_of_nothing_says_so():
    called = batcher("dlq", "retry", "--code", "no_such_code")
    assert called.code == 0
    assert "nothing was requeued" in called.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["retry"], "give REQUEST numbers, a filter, or --all"),
        (["retry", "1", "--all"], "contradict"),
        (["retry", "1", "3"], "not among the matching dead letters: 3"),
        (["retry", "1", "--job", "second"], "not among the matching dead letters: 1"),
        (["retry", "99999999999999999999"], "is not in the range 1<=x<=9223372036854775807"),
        (["retry", "--job", "nobody"], "there is no job"),
        (["list", "--job", "9"], "there is no job 9"),
        (["list", "--kind", "odd"], "odd"),
        (["list", "--limit", "0"], "'--limit': 0 is not in the range x>=1"),
        (["show", "77"], "there is no request 77"),
        (["show", "one"], "'REQUEST': 'one' is not a valid integer range"),
        (["discardd"], "No such command"),
    ],
)
@pytest.mark.usefixtures("two_jobs")
def test_wrong_use_is_refused_and_changes_nothing(args, says):
    called = batcher("dlq", *args)
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert listed()["total"] == 4


@pytest.mark.parametrize("command", [["show", "1"], ["retry", "--all"], ["retry", "--job", "1"]])
def test_without_a_store_there_is_nothing_to_show_or_retry(folder, command):
    called = batcher("dlq", *command)
    assert called.code == 2
    assert "no store" in called.err
    assert list(folder.iterdir()) == []
