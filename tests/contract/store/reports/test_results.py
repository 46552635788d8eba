"""Reading a job out: in input order, every row as it ended, the same each time."""

from collections.abc import Sequence

from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.requests import Answered, BadLine, Dead
from batcher.domain.states import AnswerMark
from batcher.ports import Store
from batcher.store.dead_letters import regroup
from batcher.store.jobs import jobs, loading
from batcher.store.queue.runners import WORKER_LOST_AFTER
from batcher.store.reports import cache, job_counts, results
from batcher.store.schema import SUSPECT_AFTER
from tests.support.stores import (
    SECOND,
    START,
    Row,
    add_rows,
    begin_job,
    completed,
    dead_lettered,
    holder_of,
    job_now,
    numbered,
    requeued,
    rescue,
    rows_named,
    stored,
    submit_rows,
    table,
)

TWIN = b'{"same": true}'


def answers(database: Store, job: Job) -> list[Answered]:
    with database.read() as connection:
        return list(results.answered(connection, job))


def dead(database: Store, job: Job) -> list[Dead]:
    with database.read() as connection:
        return list(results.dead(connection, job))


def by_name(rows: Sequence[Answered | Dead]) -> dict[str, tuple[JobId, str] | None]:
    return {row.custom_id: row.answered_by for row in rows if isinstance(row, Answered)}


def delete(database: Store, job: Job) -> None:
    while True:
        with database.write() as connection:
            if not jobs.delete_some(connection, job):
                return


def test_answers_come_in_input_order_whatever_order_they_came_back_in(database, holder):
    job = submit_rows(database, numbered(450))
    claims = list(holder.claim(job).claims)
    for group in (claims[300:], claims[:100], claims[100:300]):
        holder.settle(*[completed(each, each.body) for each in reversed(group)])
    rows = answers(database, job)
    assert [row.custom_id for row in rows] == [f"r{number}" for number in range(450)]
    assert [row.line for row in rows] == list(range(1, 451))
    assert all(row.body == b'{"user": "%s"}' % row.custom_id.encode() for row in rows)


def test_an_answer_is_told_whole(database, holder):
    job = submit_rows(database, rows_named("a"))
    (claim,) = holder.claim(job).claims
    holder.settle(completed(claim, b"answer"))
    assert answers(database, job) == [
        Answered(
            request_id=claim.request_id,
            line=1,
            custom_id="a",
            attempts=1,
            cached=False,
            status=200,
            provider_request_id="req_1",
            latency_us=250_000,
            body=b"answer",
            input_tokens=3,
            output_tokens=4,
            marks=AnswerMark(0),
            answered_by=None,
        )
    ]


def test_a_dead_letter_is_told_whole(database, holder):
    job = submit_rows(database, rows_named("a"))
    (claim,) = holder.claim(job).claims
    holder.settle(dead_lettered(claim, "too_long", reply=b"no"))
    assert dead(database, job) == [
        Dead(
            request_id=claim.request_id,
            line=1,
            custom_id="a",
            attempts=1,
            kind="permanent",
            code="too_long",
            message="it was too_long",
            status=400,
            provider_request_id="req_1",
            latency_us=250_000,
            reply=b"no",
        )
    ]


def test_a_dead_letter_carries_what_came_back_last(database, holder):
    job = submit_rows(database, rows_named("a"))
    holder.settle(requeued(holder.claim(job).claims[0]))
    holder.settle(dead_lettered(holder.claim(job).claims[0], "last", status=422))
    (letter,) = dead(database, job)
    assert (letter.attempts, letter.code, letter.status) == (2, "last", 422)


def test_a_row_that_is_not_at_its_end_is_in_neither(database, holder):
    job = submit_rows(database, rows_named("a", "b", "c"))
    a, b = holder.claim(job, most=2).claims
    holder.settle(requeued(a))
    assert b.custom_id == "b"
    assert answers(database, job) == []
    assert dead(database, job) == []


def test_rows_of_jobs_that_interleave_are_told_apart(database, holder):
    one, two = begin_job(database, name="one"), begin_job(database, name="two")
    for chunk in range(3):
        add_rows(database, one, [Row(f"a{chunk}")], first_line=chunk + 1)
        add_rows(database, two, [Row(f"b{chunk}")], first_line=chunk + 1)
    with database.write() as connection:
        shown = []
        for job_id in (one, two):
            loading.open_job(connection, job_id)
            shown.append(jobs.get(connection, job_id))
    holder.settle(*[completed(each) for each in holder.claim(*shown).claims])
    assert [row.custom_id for row in answers(database, shown[0])] == ["a0", "a1", "a2"]
    assert [row.custom_id for row in answers(database, shown[1])] == ["b0", "b1", "b2"]
    with database.read() as connection:
        one_of_each = [job_counts.counts(connection, job) for job in shown]
    assert [(each.completed, each.attempts) for each in one_of_each] == [(3, 3), (3, 3)]
    assert one_of_each[0].output_tokens == one_of_each[1].output_tokens > 0


def test_some_rows_are_told_in_input_order_and_only_those_at_their_end(database, holder):
    job = submit_rows(database, rows_named("a", "b", "c", "d"))
    a, b, c = holder.claim(job, most=3).claims
    holder.settle(completed(c), dead_lettered(b), completed(a))
    ids = [row["id"] for row in stored(database).values()]
    with database.read() as connection:
        told = results.some(connection, ids[::-1])
        assert [type(each).__name__ for each in told] == ["Answered", "Dead", "Answered"]
        assert [each.custom_id for each in told] == ["a", "b", "c"]
        assert results.some(connection, []) == []
        assert len(results.some(connection, [*ids, *range(10_000, 60_000)])) == 3


def test_skipped_lines_come_in_file_order(database):
    job = submit_rows(database, rows_named("a"))
    lines = [
        BadLine(line=9, reason="not JSON", text="{"),
        BadLine(line=2, reason="no body", text="{}", custom_id="x"),
    ]
    with database.write() as connection:
        loading.add_rejected(connection, job.id, lines)
        assert list(results.skipped(connection, job.id)) == lines[::-1]


# --- whose answer it is ---


def test_a_follower_names_the_row_that_was_sent_for_it(database, holder):
    job = submit_rows(database, [Row("lead", TWIN), Row("f", TWIN)])
    holder.settle(completed(holder.claim(job).claims[0]))
    lead, follower = answers(database, job)
    assert (lead.cached, lead.answered_by, lead.attempts) == (False, None, 1)
    assert (follower.cached, follower.answered_by, follower.attempts) == (True, (job.id, "lead"), 0)
    assert follower.body == lead.body


def test_a_row_answered_by_an_earlier_job_names_it_also_when_that_job_is_gone(database, holder):
    earlier = submit_rows(database, [Row("a", TWIN)], name="earlier")
    holder.settle(completed(holder.claim(earlier).claims[0], b"known"))
    later = submit_rows(database, [Row("x", TWIN), Row("y", TWIN)], name="later")
    holder.claim(later)
    before = answers(database, later)
    assert by_name(before) == {"x": (earlier.id, "a"), "y": (earlier.id, "a")}
    delete(database, earlier)
    assert answers(database, later) == before
    with database.write() as connection:
        cache.clear(connection, before=None)
    assert answers(database, later) == before


def test_an_answer_goes_with_the_last_job_that_uses_it(database, holder):
    earlier = submit_rows(database, [Row("a", TWIN), Row("own")], name="earlier")
    holder.settle(*[completed(each) for each in holder.claim(earlier).claims])
    later = submit_rows(database, [Row("x", TWIN)], name="later")
    holder.claim(later)
    delete(database, earlier)
    assert len(table(database, "responses")) == len(table(database, "cache")) == 1
    delete(database, later)
    for name in ("responses", "cache", "requests", "bodies", "attempts", "routes", "jobs"):
        assert table(database, name) == [], name


def test_a_job_deleted_in_many_steps_loses_no_answer_of_another(database, holder, monkeypatch):
    monkeypatch.setattr(jobs, "_REMOVED_AT_ONCE", 2)
    earlier = submit_rows(database, [Row(f"a{n}", body=b"%d" % n) for n in range(5)], name="earlier")
    holder.settle(*[completed(each, each.body) for each in holder.claim(earlier).claims])
    later = submit_rows(database, [Row(f"x{n}", body=b"%d" % n) for n in range(5)], name="later")
    holder.claim(later)
    before = answers(database, later)
    delete(database, earlier)
    assert answers(database, later) == before
    assert by_name(before)["x4"] == (earlier.id, "a4")


def test_clearing_the_cache_touches_no_result(database, holder):
    job = submit_rows(database, [Row("lead", TWIN), Row("f", TWIN)])
    holder.settle(completed(holder.claim(job).claims[0]))
    before = answers(database, job)
    with database.write() as connection:
        assert [line.answers for line in cache.stats(connection)] == [1]
        assert cache.clear(connection, before=START) == 0
        assert cache.clear(connection, before=START + 1) == 1
        assert cache.stats(connection) == []
    assert answers(database, job) == before


def test_the_cache_tells_its_size_by_endpoint(database, holder, clock):
    one = submit_rows(database, rows_named("a", "b"), name="one")
    two = submit_rows(database, rows_named("c"), name="two", base_url="http://127.0.0.1:9/v1")
    a, b, c = holder.claim(one, two).claims
    holder.settle(completed(a, b"1234"), completed(c, b"1"))
    clock.at += SECOND
    holder.settle(completed(b, b"56"))
    with database.read() as connection:
        first, second = cache.stats(connection)
    assert (first.base_url, first.answers, first.size) == ("http://127.0.0.1:8000/v1", 2, 6)
    assert (first.oldest, first.newest) == (START, START + SECOND)
    assert (second.base_url, second.answers, second.size) == ("http://127.0.0.1:9/v1", 1, 1)


# --- dead followers ---


def test_a_dead_follower_carries_its_leaders_reply(database, holder):
    job = submit_rows(database, [Row("lead", TWIN), Row("f", TWIN)])
    holder.settle(dead_lettered(holder.claim(job).claims[0], "too_long", reply=b"no"))
    lead, follower = dead(database, job)
    assert (follower.custom_id, follower.attempts) == ("f", 0)
    assert (follower.kind, follower.code, follower.message, follower.status, follower.reply) == (
        lead.kind,
        lead.code,
        lead.message,
        lead.status,
        lead.reply,
    )


def test_a_dead_follower_stays_as_it_was_when_its_leader_alone_is_retried(database, holder, clock):
    job = submit_rows(database, [Row("lead", TWIN), Row("f", TWIN)])
    (claim,) = holder.claim(job).claims
    holder.settle(dead_lettered(claim, "too_long", reply=b"no"))
    before = dead(database, job)[1]
    with database.write() as connection:
        regroup.retry(connection, [claim.request_id])
    clock.at += SECOND
    holder.settle(dead_lettered(holder.claim(job).claims[0], "other", at=clock.at))
    assert [letter.code for letter in dead(database, job)] == ["other", "too_long"]
    assert dead(database, job)[1] == before
    with database.write() as connection:
        regroup.retry(connection, [claim.request_id])
    clock.at += SECOND
    holder.settle(completed(holder.claim(job).claims[0], at=clock.at))
    assert dead(database, job) == [before]


def test_a_row_that_killed_its_holders_says_so(database, clock):
    job = submit_rows(database, rows_named("a"))
    for time in range(WORKER_LOST_AFTER):
        heir = holder_of(database, clock)
        assert len(heir.claim(job, alone=time >= SUSPECT_AFTER).claims) == 1
        rescue(database)
    (letter,) = dead(database, job_now(database, job))
    assert (letter.code, letter.status, letter.reply, letter.attempts) == (
        "worker_lost",
        None,
        None,
        WORKER_LOST_AFTER,
    )
    assert letter.message == "the runner died before this attempt was recorded"
