"""Loading a job: in chunks, invisible until it is complete, removed without a trace if it is refused."""

import threading

import pytest
from sqlalchemy import text

from batcher.domain.errors import UnknownJob
from batcher.domain.requests import BadLine, Filters
from batcher.domain.states import JobState
from batcher.policy.input.foreign_forms import Form
from batcher.ports import Store
from batcher.store.dead_letters import listing
from batcher.store.jobs import jobs, loading
from batcher.store.queue import runners
from batcher.store.reports import results
from tests.support.stores import (
    BASE_URL,
    NOTHING_IN_HAND,
    START,
    Row,
    add_rows,
    begin_job,
    job_now,
    line_of,
    names,
    numbered,
    routes_of,
    rows_named,
    states,
    stored,
    submit_rows,
    table,
)

SAME_BODY = b'{"same": true}'


def show_job(database: Store, job_id, *, repeats=None) -> int:
    with database.write() as connection:
        return loading.open_job(connection, job_id, repeats=repeats)


def remove(database: Store, job_id) -> int:
    """Remove a half-loaded job; return how many transactions it took."""
    for rounds in range(1, 100):
        with database.write() as connection:
            if not loading.remove_some(connection, job_id):
                return rounds
    raise AssertionError("never done")


def test_chunks_become_one_job_in_file_order(database):
    job_id = begin_job(database)
    add_rows(database, job_id, rows_named("a", "b"))
    add_rows(database, job_id, rows_named("c", "d"), first_line=4)
    assert show_job(database, job_id) == 0
    rows = stored(database)
    assert list(rows) == ["a", "b", "c", "d"]
    assert [row["line"] for row in rows.values()] == [1, 2, 4, 5]
    ids = [row["id"] for row in rows.values()]
    with database.read() as connection:
        job = jobs.get(connection, job_id)
    assert (job.state, job.total, job.first_request, job.last_request) == (JobState.OPEN, 4, ids[0], ids[-1])


def test_a_row_keeps_its_size_its_estimates_and_its_body(database):
    submit_rows(database, [Row("a", body=b'{"x":  1}')])
    row = stored(database)["a"]
    assert (row["size"], row["est_input"], row["est_output"], row["sends"]) == (9, 10, 20, 0)
    assert [each["body"] for each in table(database, "bodies")] == [b'{"x":  1}']


def test_two_jobs_loaded_at_the_same_time_keep_their_rows_apart(database, holder):
    one, two = begin_job(database, name="one"), begin_job(database, name="two")
    for chunk in range(3):
        add_rows(database, one, [Row(f"a{chunk}")], first_line=chunk + 1)
        add_rows(database, two, [Row(f"b{chunk}")], first_line=chunk + 1)
    show_job(database, one)
    show_job(database, two)
    with database.read() as connection:
        first, second = jobs.get(connection, one), jobs.get(connection, two)
    assert (first.total, second.total) == (3, 3)
    assert names(holder.claim(first).claims) == ["a0", "a1", "a2"]
    with database.write() as connection:
        assert jobs.cancel(connection, second, now=START) == 3
    assert set(states(database, first).values()) == {"claimed"}


def test_routes_are_made_as_lines_name_them_and_shared_by_chunks(database):
    job_id = begin_job(database)
    add_rows(database, job_id, [Row("a", model="x"), Row("b", model="y")])
    add_rows(database, job_id, [Row("c", model="x"), Row("d", model="x", path="/v1/embeddings")], first_line=3)
    show_job(database, job_id)
    with database.read() as connection:
        job = jobs.get(connection, job_id)
    routes = {(route.path, route.model): route.id for route in routes_of(database, job)}
    assert list(routes) == [
        ("/v1/chat/completions", "x"),
        ("/v1/chat/completions", "y"),
        ("/v1/embeddings", "x"),
    ]
    rows = stored(database)
    assert rows["a"]["route_id"] == rows["c"]["route_id"] == routes["/v1/chat/completions", "x"]
    assert rows["d"]["route_id"] == routes["/v1/embeddings", "x"]


def test_jobs_of_one_endpoint_share_it(database):
    one, two = (
        submit_rows(database, rows_named("a"), name="one"),
        submit_rows(database, rows_named("b"), name="two"),
    )
    three = submit_rows(database, rows_named("c"), name="three", base_url="http://127.0.0.1:9/v1")
    assert one.endpoint_id == two.endpoint_id != three.endpoint_id
    assert one.base_url == BASE_URL


def test_a_chunk_whose_transaction_failed_is_loaded_again_with_its_routes(database):
    """Work that shares a transaction with failing work is run twice."""
    job_id, other = begin_job(database, name="one"), begin_job(database, name="two")
    known = loading.Routes(job_id)
    lines = [line_of(Row("a", model="x"), 1)]

    def load_and_fail() -> None:
        with database.write() as connection:
            loading.add(connection, job_id, known, lines, with_bodies=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_and_fail()
    add_rows(database, other, [Row("b", model="y")])
    with database.write() as connection:
        loading.add(connection, job_id, known, lines, with_bodies=True)
    show_job(database, job_id)
    with database.read() as connection:
        (route,) = jobs.routes_of(connection, jobs.get(connection, job_id))
    assert stored(database)["a"]["route_id"] == route.id


# --- repeated custom_ids ---


def test_a_repeated_custom_id_is_reported_with_its_first_line_also_across_chunks(database):
    job_id = begin_job(database)
    assert add_rows(database, job_id, rows_named("a", "b")) == []
    bad = add_rows(database, job_id, [Row("c"), Row("a", body=b"{}"), Row("c", body=b"[]")], first_line=3)
    assert bad == [
        BadLine(
            line=4,
            reason='custom_id "a" was already used in line 1; each must be unique',
            text="{}",
            custom_id="a",
            form=Form.REPEATED_ID,
        ),
        BadLine(
            line=5,
            reason='custom_id "c" was already used in line 3; each must be unique',
            text="[]",
            custom_id="c",
            form=Form.REPEATED_ID,
        ),
    ]


def test_the_same_custom_id_in_another_job_is_no_repeat(database):
    submit_rows(database, rows_named("a"), name="one")
    job_id = begin_job(database, name="two")
    assert add_rows(database, job_id, rows_named("a")) == []


def test_the_good_lines_of_a_chunk_with_a_repeat_can_be_run(database, holder):
    """`--skip-invalid` skips only the repeat."""
    job_id = begin_job(database)
    (repeat,) = add_rows(database, job_id, [Row("a", body=b"1"), Row("a", body=b"2"), Row("b", body=b"3")])
    with database.write() as connection:
        loading.add_rejected(connection, job_id, [repeat])
        loading.open_job(connection, job_id)
        job = jobs.get(connection, job_id)
        assert [line.line for line in results.skipped(connection, job_id)] == [2]
    assert job.total == 2
    assert [(each.custom_id, each.body) for each in holder.claim(job).claims] == [("a", b"1"), ("b", b"3")]


def test_a_chunk_after_a_repeat_goes_on_where_ids_end(database):
    job_id = begin_job(database)
    add_rows(database, job_id, rows_named("a", "a"))
    add_rows(database, job_id, rows_named("b", "c"), first_line=3)
    show_job(database, job_id)
    assert list(stored(database)) == ["a", "b", "c"]
    assert len(table(database, "bodies")) == 3


def test_a_job_with_a_bad_line_is_only_checked(database):
    job_id = begin_job(database)
    assert add_rows(database, job_id, rows_named("a"), with_bodies=False) == []
    assert len(add_rows(database, job_id, rows_named("a"), first_line=2, with_bodies=False)) == 1
    assert table(database, "bodies") == []


# --- a job that is not whole ---


def test_a_job_that_is_being_loaded_is_invisible(database, holder):
    job_id = begin_job(database, name="half")
    add_rows(database, job_id, rows_named("a"))
    with database.write() as connection:
        jobs.want(connection, [job_id])
        assert runners.beat(connection, holder.id, now=START, snapshot=NOTHING_IN_HAND).jobs == {}
    digest = table(database, "jobs")[0]["source_digest"]
    with database.read() as connection:
        assert jobs.all_jobs(connection) == []
        assert jobs.unfinished(connection) == []
        assert jobs.by_source(connection, digest, BASE_URL) is None
        assert jobs.by_path(connection, "/somewhere/half.jsonl", BASE_URL, but_not=b"other") is None
        assert listing.letters(connection, Filters(), limit=None) == []
        for ask in (
            lambda: jobs.get(connection, job_id),
            lambda: jobs.find(connection, str(job_id)),
            lambda: jobs.find(connection, "half"),
            lambda: jobs.newest(connection),
        ):
            with pytest.raises(UnknownJob):
                ask()
    show_job(database, job_id)
    with database.read() as connection:
        assert [job.id for job in jobs.all_jobs(connection)] == [job_id]
        assert jobs.by_source(connection, digest, BASE_URL) is not None
        assert jobs.by_path(connection, "/somewhere/half.jsonl", BASE_URL, but_not=b"other") is not None


def test_a_half_job_is_removed_without_a_trace(database, monkeypatch):
    monkeypatch.setattr(loading, "_REMOVED_AT_ONCE", 2)
    keep = submit_rows(database, rows_named("keep"), name="keep")
    before = [len(table(database, name)) for name in ("jobs", "routes", "requests", "bodies", "rejected")]
    job_id = begin_job(database, name="half")
    add_rows(database, job_id, numbered(5))
    with database.write() as connection:
        loading.add_rejected(connection, job_id, [BadLine(line=9, reason="bad", text="x")])
    assert remove(database, job_id) == 4
    after = [len(table(database, name)) for name in ("jobs", "routes", "requests", "bodies", "rejected")]
    assert after == before
    assert job_now(database, keep).total == 1


def test_numbers_are_never_used_again(database):
    first = begin_job(database, name="one")
    add_rows(database, first, numbered(3))
    last = max(row["id"] for row in stored(database).values())
    remove(database, first)
    second = submit_rows(database, rows_named("x"), name="two")
    assert second.id > first
    assert stored(database)["x"]["id"] > last


def test_an_empty_job_is_whole(database):
    job = submit_rows(database, [])
    assert (job.total, job.first_request, job.last_request) == (0, None, None)


# --- leaders ---


def repeated_bodies(database: Store, names: str | None) -> set[bytes] | None:
    rows = stored(database)
    return None if names is None else {rows[name]["fingerprint"] for name in names}


@pytest.mark.parametrize(
    "names", [None, "abcdef", "ce", "cbe"], ids=["any may", "all", "those", "and one in error"]
)
def test_the_first_of_each_body_leads_and_the_others_follow_it(database, names):
    job_id = begin_job(database)
    add_rows(database, job_id, [Row("a", SAME_BODY), Row("b"), Row("c", SAME_BODY)])
    add_rows(database, job_id, [Row("d", SAME_BODY), Row("e", b"2"), Row("f", b"2")], first_line=4)
    add_rows(database, job_id, numbered(60), first_line=7)
    assert show_job(database, job_id, repeats=repeated_bodies(database, names)) == 3
    rows = stored(database)
    assert not any(row["leader_id"] for row in list(rows.values())[6:])
    leaders = {name: row["leader_id"] for name, row in list(rows.items())[:6]}
    assert leaders == {
        "a": None,
        "b": None,
        "c": rows["a"]["id"],
        "d": rows["a"]["id"],
        "e": None,
        "f": rows["e"]["id"],
    }


@pytest.mark.parametrize("names", ["", "a", "ab"])
def test_no_row_follows_if_no_body_occurs_twice(database, names):
    job_id = begin_job(database)
    add_rows(database, job_id, [*rows_named("a", "b"), *numbered(20)])
    assert show_job(database, job_id, repeats=repeated_bodies(database, names)) == 0
    other = begin_job(database, name="other")
    add_rows(database, other, [Row("c", SAME_BODY), Row("d", SAME_BODY), *numbered(300)])
    bodies = {row["fingerprint"] for row in stored(database).values()}
    assert show_job(database, other, repeats=bodies) == 1


def test_a_row_leads_none_of_another_job(database):
    submit_rows(database, [Row("a", SAME_BODY)], name="one")
    two = submit_rows(database, [Row("b", SAME_BODY)], name="two")
    assert stored(database, two)["b"]["leader_id"] is None


def test_rows_without_a_fingerprint_neither_lead_nor_follow(database):
    submit_rows(database, [Row(name, SAME_BODY, shares=False) for name in "abc"])
    assert {row["leader_id"] for row in stored(database).values()} == {None}


# --- the writer that commits in groups ---

REJECTED = "INSERT INTO rejected VALUES (1, :line, '', '', '')"


async def test_work_that_fails_takes_none_of_its_group_with_it(database):
    gathered = threading.Event()
    writer = database.start_writer()
    held = writer.write(lambda _: gathered.wait(10))

    def insert(line):
        return lambda connection: connection.execute(text(REJECTED), {"line": line})

    good = [writer.write(insert(1)), writer.write(insert(2))]
    bad = writer.write(lambda _: 1 / 0)
    good.append(writer.write(insert(3)))
    gathered.set()
    assert await held
    with pytest.raises(ZeroDivisionError):
        await bad
    for each in good:
        await each
    writer.close()
    assert [row["line"] for row in table(database, "rejected")] == [1, 2, 3]


async def test_what_was_given_before_the_close_is_on_disk_after_it(database):
    writer = database.start_writer()
    written = writer.write(lambda c: c.execute(text(REJECTED), {"line": 1}).rowcount)
    writer.close()
    writer.close()
    assert len(table(database, "rejected")) == 1
    assert await written == 1
    with pytest.raises(RuntimeError, match="has ended"):
        writer.write(lambda _: None)
