"""`batcher cancel` and `batcher delete`."""

import pytest

from batcher.store.jobs import jobs
from tests.support.commands import answering, batcher
from tests.support.jobs import claimed_by_a_runner, live_runner, rows, run_job, store_in
from tests.support.stores import holder_of, states, table


def everything(folder):
    """How many rows each table of requests and answers holds."""
    names = ("jobs", "routes", "requests", "bodies", "responses", "attempts", "cache", "rejected")
    with store_in(folder) as database:
        return {name: len(table(database, name)) for name in names}


def test_cancel_gives_up_what_is_pending_and_keeps_the_answers(folder):
    run_job(folder, rows(answered=1, pending=2))
    called = batcher("cancel", "job")
    assert called.code == 0
    assert "job 1 (job) is cancelled: 2 rows will not be sent" in called.out
    with store_in(folder) as database:
        assert states(database) == {"good-0": "completed", "open-0": "cancelled", "open-1": "cancelled"}
    assert batcher("status", "1", "--json").json["state"] == "cancelled"


def test_cancel_tells_what_is_in_flight_from_what_a_runner_has_in_hand(folder):
    job = run_job(folder, rows(pending=6))
    claimed_by_a_runner(folder, job, claimed=4, sending=1)
    with live_runner(folder):
        out = batcher("cancel", "1").out
    assert "2 rows will not be sent" in out
    assert "1 row in flight will finish" in out
    assert "3 rows claimed by the runner" in out


def test_cancel_of_what_a_dead_runner_had_claims_nothing_to_be_in_flight(folder):
    job = run_job(folder, rows(pending=3))
    claimed_by_a_runner(folder, job, claimed=1, sending=1)
    out = batcher("cancel", "1").out
    assert "in flight" not in out
    assert "a runner died with 1 row claimed" in out


@pytest.mark.parametrize(
    ("of", "state"), [(rows(answered=1), "completed"), (rows(answered=1, pending=1), "cancelled")]
)
def test_cancel_of_a_job_that_is_over_says_so(folder, of, state):
    run_job(folder, of)
    if state == "cancelled":
        batcher("cancel", "1")
    called = batcher("cancel", "1")
    assert called.code == 0
    assert f"is already {state}" in called.out


def test_delete_removes_all_of_one_job_and_nothing_of_another(folder):
    run_job(folder, rows(answered=2), name="other", base_url="http://127.0.0.1:1/v1")
    before = everything(folder)
    run_job(folder, rows(answered=2, dead=1, pending=1), name="gone")
    called = batcher("delete", "gone", "--yes")
    assert called.code == 0
    assert "job 2 (gone) was deleted: 4 rows and their answers" in called.out
    assert everything(folder) == before
    assert batcher("status", "gone").code == 2
    assert batcher("results", "other", "-o", "-").out.count("\n") == 2


def test_the_number_of_a_deleted_job_is_not_given_again(folder):
    run_job(folder, rows(answered=1), name="a")
    batcher("delete", "1", "--yes")
    assert run_job(folder, rows(answered=1), name="b").id == 2


def test_a_job_that_is_not_finished_can_be_deleted(folder):
    run_job(folder, rows(pending=3))
    assert batcher("delete", "1", "--yes").code == 0
    assert batcher("status", "--json").json == {"data": []}


def test_without_a_terminal_delete_wants_yes(folder):
    run_job(folder, rows(answered=1))
    called = batcher("delete", "1", stdin="y\n")
    assert called.code == 2
    assert "--yes" in called.err
    assert batcher("status", "1").code == 0


@pytest.mark.parametrize(("reply", "code", "left"), [("y", 0, 0), ("n", 1, 1)])
def test_on_a_terminal_delete_asks(folder, reply, code, left):
    run_job(folder, rows(answered=1))
    with answering(reply):
        assert batcher("delete", "1").code == code
    assert len(batcher("status", "--json").json["data"]) == left


def test_delete_is_refused_while_a_runner_works_on_the_job(folder):
    job = run_job(folder, rows(pending=2))
    with store_in(folder) as database, database.write() as connection:
        jobs.want(connection, [job.id])
    with live_runner(folder):
        called = batcher("delete", "1", "--yes")
        assert called.code == 2
        assert "batcher cancel 1" in called.err
        assert batcher("status", "1", "--json").json["counts"]["pending"] == 2
    assert batcher("delete", "1", "--yes").code == 0


def test_delete_waits_for_what_a_runner_has_in_flight(folder):
    job = run_job(folder, rows(pending=2))
    with store_in(folder) as database:
        holder_of(database).claim(job, most=1)
    batcher("cancel", "1")
    with live_runner(folder):
        called = batcher("delete", "1", "--yes")
    assert called.code == 2
    assert "1 row claimed by a runner" in called.err


def test_a_job_beside_the_one_a_runner_works_on_can_be_deleted(folder):
    run_job(folder, rows(answered=1), name="done")
    busy = run_job(folder, rows(pending=2), name="busy")
    with store_in(folder) as database, database.write() as connection:
        jobs.want(connection, [busy.id])
    with live_runner(folder):
        assert batcher("delete", "done", "--yes").code == 0


@pytest.mark.parametrize("command", [["cancel", "4"], ["delete", "4", "--yes"], ["cancel", "who"]])
@pytest.mark.parametrize("with_store", [True, False])
def test_an_unknown_job_is_wrong_use(folder, command, with_store):
    if with_store:
        run_job(folder, rows(answered=1))
    called = batcher(*command)
    assert called.code == 2
    assert "there is no job" in called.err
