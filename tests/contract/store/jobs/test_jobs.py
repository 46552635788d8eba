"""Jobs as rows: finding by number and name, counting, settings, removal."""

import pytest
from msgspec.structs import replace

from batcher.domain.errors import UnknownJob
from batcher.domain.jobs import Counts
from batcher.domain.settings import Limits
from batcher.domain.states import JobState
from batcher.store.jobs import jobs
from batcher.store.reports import job_counts
from tests.support.engines import engine_of
from tests.support.messages import words
from tests.support.stores import (
    BASE_URL,
    SECOND,
    START,
    Row,
    change,
    completed,
    dead_lettered,
    job_now,
    numbered,
    requeued,
    rescue,
    rows_named,
    submit_rows,
    table,
)

SAME_BODY = b'{"same": true}'


# --- finding ---


def test_a_job_is_found_by_its_number_and_by_its_name(database):
    job = submit_rows(database, rows_named("a"), name="gsm8k")
    with database.read() as connection:
        assert jobs.get(connection, job.id) == job
        assert jobs.find(connection, str(job.id)) == job
        assert jobs.find(connection, "gsm8k") == job
        assert jobs.newest(connection) == job


@pytest.mark.parametrize("named", ["7", "nowhere", "99999999999999999999", "-1", ""])
def test_a_job_that_is_not_there_is_said_to_be(database, named):
    with database.read() as connection, pytest.raises(UnknownJob) as caught:
        jobs.find(connection, named)
    assert words(caught.value.hint) == "`batcher status` lists the jobs"


def test_a_name_of_several_jobs_names_their_numbers(database):
    for _ in range(2):
        change(database, "UPDATE jobs SET public_id = CAST(id AS TEXT)")
        submit_rows(database, rows_named("a"), name="twice")
    with database.read() as connection, pytest.raises(UnknownJob, match='several jobs are named "twice": 1, 2'):
        jobs.find(connection, "twice")


def test_a_store_without_a_job_has_no_newest(database):
    with database.read() as connection, pytest.raises(UnknownJob, match="no job in this store"):
        jobs.newest(connection)


def test_a_file_is_known_by_its_content_unless_its_job_was_cancelled(database):
    job = submit_rows(database, rows_named("a"), name="one")
    digest = table(database, "jobs")[0]["source_digest"]
    with database.read() as connection:
        assert jobs.by_source(connection, digest, BASE_URL) == job
        assert jobs.by_source(connection, b"other", BASE_URL) is None
        assert jobs.by_source(connection, digest, "http://127.0.0.1:9/v1") is None
        assert jobs.by_path(connection, "/somewhere/one.jsonl", BASE_URL, but_not=b"other") == job
        assert jobs.by_path(connection, "/elsewhere/one.jsonl", BASE_URL, but_not=b"other") is None
    with database.write() as connection:
        jobs.cancel(connection, job, now=START)
        assert jobs.by_source(connection, digest, BASE_URL) is None


# --- what people want ---


def test_a_new_runner_runs_only_what_it_is_asked_to(database):
    one, two, three = (submit_rows(database, rows_named("a"), name=name) for name in ("one", "two", "three"))
    with database.write() as connection:
        jobs.want_only(connection, [two.id])
        jobs.want(connection, [three.id])
    assert [job_now(database, job).wanted for job in (one, two, three)] == [False, True, True]


def test_what_a_job_remembers_can_be_replaced(database):
    job = submit_rows(database, rows_named("a"))
    settings = replace(job.settings, limits=Limits(rpm=5.0), api_key_env="OTHER_KEY")
    with database.write() as connection:
        jobs.remember(connection, job.id, settings=settings)
        jobs.remember(connection, job.id, output_path="/out.jsonl")
        jobs.remember(connection, job.id)
    after = job_now(database, job)
    assert (after.settings, after.key_name, after.settings_version) == (settings, "OTHER_KEY", 2)
    assert after.output_path == "/out.jsonl"


# --- counting ---


def test_a_job_is_counted_whole_in_every_state(database, holder):
    rows = [Row("lead", SAME_BODY), *(Row(f"f{number}", SAME_BODY) for number in range(2)), *numbered(5)]
    job = submit_rows(database, rows)
    other = submit_rows(database, rows_named("x", "y"), name="other")
    lead, r0, r1, r2 = holder.claim(job, most=4).claims
    holder.settle(completed(lead), dead_lettered(r0), requeued(r1, uses_attempt=False))
    holder.settle(completed(holder.claim(other).claims[0]))
    with database.read() as connection:
        counted = job_counts.counts(connection, job)
    assert r2.custom_id == "r2"
    assert counted == Counts(
        total=8,
        pending=3,
        claimed=1,
        completed=3,
        dead_lettered=1,
        cancelled=0,
        cached=2,
        attempts=3,
        rate_limited=1,
        input_tokens=9,
        output_tokens=12,
        rejected=0,
    )
    assert counted.unfinished == 4
    with database.write() as connection:
        jobs.cancel(connection, job, now=START)
        after = job_counts.counts(connection, job)
    assert (after.total, after.pending, after.claimed, after.cancelled) == (8, 0, 1, 3)


def test_the_attempts_of_a_holder_that_died_are_counted(database, holder):
    job = submit_rows(database, rows_named("a"))
    holder.claim(job)
    rescue(database)
    with database.read() as connection:
        counted = job_counts.counts(connection, job)
    assert (counted.attempts, counted.pending, counted.input_tokens) == (1, 1, 0)


def test_a_job_without_a_row_counts_nothing(database):
    job = submit_rows(database, [])
    with database.read() as connection:
        assert job_counts.counts(connection, job) == Counts()


def test_models_with_work_left_are_named(database, holder):
    job = submit_rows(database, [Row("a", model="y"), Row("b", model="x"), Row("c", model="x")])
    with database.read() as connection:
        assert [model for _, model in job_counts.unfinished_routes(connection, job)] == ["x", "y"]
    holder.settle(*[completed(each) for each in holder.claim(job).claims if each.model == "y"])
    with database.read() as connection:
        assert [model for _, model in job_counts.unfinished_routes(connection, job)] == ["x"]


def test_bodies_that_rows_share_are_listed_with_their_number(database):
    job = submit_rows(database, [Row("a", SAME_BODY), Row("b", SAME_BODY), Row("c", SAME_BODY), Row("d")])
    with database.read() as connection:
        assert list(job_counts.followers(connection, job)) == [("/v1/chat/completions", 2)]


# --- the end of a job ---


def test_a_cancelled_job_stays_cancelled_since_the_first_time(database):
    job = submit_rows(database, rows_named("a"))
    for later in range(2):
        with database.write() as connection:
            jobs.cancel(connection, job, now=START + later * SECOND)
    after = job_now(database, job)
    assert (after.state, after.finished_at, after.wanted) == (JobState.CANCELLED, START, False)


def test_a_deleted_job_takes_its_rows_its_attempts_and_its_pauses_with_it(database, holder):
    keep = submit_rows(database, rows_named("k"), name="keep")
    job = submit_rows(database, numbered(4), name="gone")
    a, b, *_ = holder.claim(job).claims
    holder.settle(completed(a), dead_lettered(b))
    pause = "INSERT INTO pauses (scope, ref, reason, message, fix, since) VALUES ('job', :job, 'quota', '', '', 0)"
    change(database, pause, job=str(job.id))
    with database.write() as connection:
        steps = 1
        while jobs.delete_some(connection, job):
            steps += 1
    assert steps == 2
    assert [row["id"] for row in table(database, "jobs")] == [keep.id]
    assert [row["custom_id"] for row in table(database, "requests")] == ["k"]
    for name in ("attempts", "responses", "cache", "pauses"):
        assert table(database, name) == [], name
    with database.read() as connection:
        assert engine_of(connection).dangling(connection) == []
        assert jobs.newest(connection) == keep
