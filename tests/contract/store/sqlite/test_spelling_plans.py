"""The claim stays cheap with any number of pending rows: every hot statement uses its partial index (EXPLAIN)."""

import sqlite3
from typing import cast

import pytest
from sqlalchemy import Connection

from batcher.domain.ids import JobId
from batcher.domain.requests import Filters
from batcher.store.compiled import Compiled
from batcher.store.dead_letters import edits, listing, summary
from batcher.store.dead_letters import filters as dead_letter_filters
from batcher.store.jobs import jobs
from batcher.store.queue import cache_hits, claim, records, runners, settle, shared_ends, single_flight
from batcher.store.reports import job_counts, results
from batcher.store.sqlite.database import Database
from tests.support.stores import (
    START,
    Row,
    completed,
    dead_lettered,
    holder_of,
    new_holder,
    submit_rows,
    table,
)


def plan_in(connection: Connection, sql: str, parameters: tuple[object, ...]) -> str:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
    return "\n".join(row[3] for row in rows)


def plan_of(database: Database, hot: Compiled) -> str:
    with database.read() as connection:
        sql = hot.sql(connection)
        return plan_in(connection, sql, (1,) * sql.count("?"))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            cache_hits._select_fresh_ids,
            "SEARCH requests USING INDEX ix_requests_fresh (route_id=?)",
        ),
        (claim.select_suspect, "SEARCH requests USING INDEX ix_requests_suspect (route_id=? AND lost>?)"),
        (claim.select_next_due, "SEARCH requests USING INDEX ix_requests_due (route_id=? AND available_at>?)"),
        (claim._select_next_suspect, "SEARCH requests USING INDEX ix_requests_suspect (route_id=? AND lost>?)"),
    ],
)
def test_waiting_rows_are_found_by_a_partial_index_in_its_own_order(database, statement, expected):
    steps = plan_of(database, statement).splitlines()
    assert [step for step in steps if "SCAN" in step or " requests " in step] == [expected]
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps


def test_leaders_whose_followers_wait_are_found_without_a_walk_over_all_requests(database):
    steps = plan_of(database, shared_ends._next_leaders).splitlines()
    assert steps == ["SCAN unshared_ends", "SEARCH requests USING INTEGER PRIMARY KEY (rowid=?)"]


def test_what_is_claimed_next_comes_from_an_index_for_each_arm_in_their_own_order(database):
    plan = plan_of(database, claim.select_next)
    assert "SEARCH requests USING INDEX ix_requests_due (route_id=? AND available_at>? AND available_at<?)" in plan
    assert "SEARCH requests USING INDEX ix_requests_returned (route_id=? AND lost=?)" in plan
    assert "SEARCH requests USING INDEX ix_requests_fresh (route_id=?)" in plan
    assert "SEARCH requests USING INDEX ix_requests_returned (route_id=? AND lost>? AND lost<?)" in plan
    assert plan.count("SEARCH cache USING PRIMARY KEY (cache_scope=? AND fingerprint=?)") == 4
    assert plan.count("SEARCH rival USING INDEX ix_requests_in_flight (fingerprint=?)") == 4
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("statement", [cache_hits._select_in_flight, cache_hits._select_in_flight_in_job])
def test_a_body_in_flight_is_found_by_its_fingerprint(database, statement):
    assert "SEARCH rival USING INDEX ix_requests_in_flight (fingerprint=?)" in plan_of(database, statement)


@pytest.mark.parametrize("statement", [single_flight._complete, single_flight._dead_letter])
def test_followers_are_found_by_their_leader(database, statement):
    assert "SEARCH follower USING INDEX ix_requests_followers (leader_id=?)" in plan_of(database, statement)


#: Scans of subqueries whose rows were found by an index.
_SUBQUERIES = ("SCAN anon_", "SCAN due", "SCAN returned", "SCAN fresh", "SCAN lost", "SCAN CONSTANT ROW")


def hot_statements() -> list[tuple[str, Compiled]]:
    return [
        (f"{module.__name__}.{name}", value)
        for module in (cache_hits, claim, records, settle, single_flight, edits)
        for name, value in vars(module).items()
        if isinstance(value, Compiled)
    ]


@pytest.mark.parametrize(("name", "statement"), hot_statements(), ids=[name for name, _ in hot_statements()])
def test_no_hot_statement_scans_a_table(database, name, statement):
    scans = [
        line
        for line in plan_of(database, statement).splitlines()
        if line.startswith("SCAN") and "VIRTUAL TABLE" not in line and not line.startswith(_SUBQUERIES)
    ]
    assert scans == [], name


def recorded(database: Database, ask) -> str:
    """The query plans of every statement that a function runs, by SQLAlchemy or on the driver's own cursor."""
    ran: list[str] = []
    with database.write() as connection:
        driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
        driver.set_trace_callback(ran.append)
        ask(connection)
        driver.set_trace_callback(None)
        return "\n".join(plan_in(connection, sql, ()) for sql in ran if not sql.startswith("CREATE"))


def test_a_delete_asks_only_for_the_answers_that_the_job_had(database):
    made = submit_rows(database, [Row(f"r{number}", body=b"%d" % (number // 2)) for number in range(600)])
    holder = holder_of(database)
    holder.settle(*[completed(claim) for claim in holder.claim(made).claims])
    plans = recorded(database, lambda connection: jobs.delete_some(connection, made))
    assert "SEARCH requests USING INDEX ix_requests_sharing (response_id=?)" in plans
    assert "SEARCH cache USING PRIMARY KEY (cache_scope=? AND fingerprint=?)" in plans
    assert [line for line in plans.splitlines() if line.startswith("SCAN") and "VIRTUAL TABLE" not in line] == []
    assert table(database, "responses") == table(database, "cache") == []


@pytest.fixture
def job(database):
    made = submit_rows(database, [Row(f"r{number}", body=b"%d" % (number // 2)) for number in range(600)])
    holder = holder_of(database)
    holder.settle(*[dead_lettered(claim) for claim in holder.claim(made, most=10).claims])
    return made


RANGE = "SEARCH requests USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"


@pytest.mark.parametrize(
    "ask",
    [
        lambda c, job: list(results.answered(c, job)),
        lambda c, job: jobs.cancel(c, job, now=START),
        jobs.delete_some,
    ],
    ids=["answered", "cancel", "delete"],
)
def test_a_job_is_read_as_a_range_of_the_table(database, job, ask):
    plans = recorded(database, lambda connection: ask(connection, job))
    assert RANGE in plans
    assert "sqlite_autoindex_requests_1" not in plans


@pytest.mark.parametrize(
    "ask",
    [
        job_counts.counts,
        job_counts.unfinished_routes,
        lambda c, job: jobs.finish(c, [job.id], now=START),
    ],
    ids=["counts", "unfinished routes", "finish"],
)
def test_what_is_asked_once_a_second_reads_no_row_that_is_settled(database, job, ask):
    plans = recorded(database, lambda connection: ask(connection, job))
    scans = {line for line in plans.splitlines() if line.startswith("SCAN")}
    assert scans <= {"SCAN claimed USING INDEX ix_requests_in_flight"}
    assert RANGE not in plans
    assert "sqlite_autoindex_requests_1" not in plans


@pytest.mark.usefixtures("job")
def test_a_repair_of_the_clock_reads_only_what_waits(database):
    new_holder(database, now=2 * START)
    plans = recorded(database, lambda c: runners.repair_clock_skew(c, now=START))
    assert "USING INDEX ix_requests_due" in plans or "USING COVERING INDEX ix_requests_due" in plans
    assert "SCAN requests\n" not in f"{plans}\n"


def test_a_job_is_exported_without_sorting_it(database, job):
    plans = recorded(database, lambda c: [list(results.answered(c, job)), list(results.dead(c, job))])
    assert "TEMP B-TREE" not in plans


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("filters", [Filters(), Filters(code="bad_request")], ids=["all", "by code"])
def test_dead_letters_are_found_by_their_index_in_its_order(database, filters):
    plans = recorded(database, lambda c: listing.letters(c, filters, limit=100))
    assert "USING INDEX ix_requests_dead" in plans
    assert "TEMP B-TREE" not in plans


@pytest.mark.usefixtures("job")
def test_a_rescue_looks_only_at_what_is_claimed(database):
    plans = recorded(database, lambda c: runners.rescue(c, now=START))
    assert "SCAN claimed USING INDEX ix_requests_in_flight" in plans
    assert "SCAN requests" not in plans


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    "ask",
    [
        lambda c: summary.groups(c, None),
        lambda c: summary.groups(c, JobId(1)),
        lambda c: list(summary.said(c, Filters(code="bad_request", kind="permanent", status=400))),
        lambda c: dead_letter_filters.ids(c, Filters()),
        lambda c: dead_letter_filters.ids(c, Filters(status=400)),
        lambda c: dead_letter_filters.by_job(c, Filters(code="bad_request")),
        lambda c: dead_letter_filters.smallest(c, Filters()),
    ],
    ids=["groups", "groups of a job", "said", "ids", "ids by status", "by job", "smallest"],
)
def test_dead_letters_are_summed_up_without_a_look_at_the_other_rows(database, ask):
    plans = recorded(database, ask)
    assert "ix_requests_dead" in plans
    assert not [line for line in plans.splitlines() if line == "SCAN requests"]
