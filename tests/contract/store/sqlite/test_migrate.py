"""Stores of earlier releases upgrade, with a run half done in them, and go on."""

from contextlib import closing

import pytest
from sqlalchemy import text

from batcher.domain.ids import JobId
from batcher.domain.states import JobState
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import Database
from tests.support.stores import (
    START,
    completed,
    former_store,
    holder_of,
    job_now,
    rescue,
    states,
    table,
    wrong_counts,
)

#: After the last moment in the stores.
LATER = START + 10**15
UNTOUCHED = ("bodies", "former_bodies", "pauses", "rejected", "routes", "unshared_ends")


@pytest.fixture(params=["0007"])
def upgraded(tmp_path, request):
    """A store of a former revision before its upgrade, as rows by table, and the upgraded one."""
    with closing(Database(former_store(tmp_path, request.param))) as database:
        before = {name: [dict(row) for row in table(database, name)] for name in tables(database)}
        migrate.upgrade(database, now=LATER)
        yield before, database


def tables(database):
    with database.read() as connection:
        found = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars()
        return [name for name in found if not name.startswith("sqlite_")]


def test_an_upgrade_keeps_every_row(upgraded):
    before, database = upgraded
    assert migrate.is_current(database)
    for name in UNTOUCHED:
        assert [dict(row) for row in table(database, name)] == before[name], name
    for name in ("attempts", "responses", "lanes", "jobs", "endpoints", "requests"):
        kept = [{column: row[column] for column in before[name][0]} for row in table(database, name)]
        assert kept == before[name], name
    assert {row["tier"] for row in table(database, "lanes")} == {""}
    assert {row["cache_scope"] for row in table(database, "endpoints")} == {None}
    assert {row["reserved"] for row in table(database, "jobs")} == {0.0}


def test_an_upgrade_counts_the_rows_that_are_there(upgraded):
    _, database = upgraded
    assert wrong_counts(database) == []
    with database.read() as connection:
        done, half = (job_counts.counts(connection, jobs.get(connection, JobId(number))) for number in (1, 2))
    assert (done.total, done.unfinished, half.total) == (3, 0, 24)
    assert half.completed > 0 < half.claimed
    assert half.input_tokens > 0 < half.output_tokens


def test_an_upgrade_keeps_the_answers_for_reuse(upgraded):
    before, database = upgraded
    scopes = [(row["endpoint_id"], row["fingerprint"], row["response_id"]) for row in before["cache"]]
    after = [(row["cache_scope"], row["fingerprint"], row["response_id"]) for row in table(database, "cache")]
    assert after == scopes != []


def test_a_run_half_done_before_an_upgrade_goes_on_after_it(upgraded):
    before, database = upgraded
    with database.read() as connection:
        done, half = (jobs.get(connection, JobId(number)) for number in (1, 2))
    assert (done.state, half.state, half.total) == (JobState.COMPLETED, JobState.OPEN, 24)
    claimed = sum(row["state"] == "claimed" for row in before["requests"])
    answered = len(before["responses"])
    assert rescue(database, now=LATER) == claimed > 0
    holder = holder_of(database)
    claims = holder.claim(half).claims
    holder.settle(*map(completed, claims))
    assert set(states(database, half).values()) == {"completed"}
    assert wrong_counts(database) == []
    assert len(table(database, "responses")) == answered + len(claims)
    with database.write() as connection:
        assert jobs.finish(connection, [half.id], now=LATER) == [half.id]
    assert job_now(database, half).state is JobState.COMPLETED
