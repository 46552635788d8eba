"""A route has work as long as any of its rows is not settled, whatever the row waits for."""

from unittest import mock

import pytest

from batcher.domain.states import JobState
from batcher.store.jobs import jobs
from batcher.store.queue import shared_ends, single_flight
from batcher.store.reports import job_counts
from tests.support.stores import (
    SECOND,
    START,
    Row,
    cancel,
    completed,
    holder_of,
    job_now,
    numbered,
    released,
    requeued,
    rescue,
    rows_named,
    submit_rows,
)


def models_with_work(database, job):
    with database.read() as connection:
        return [model for _, model in job_counts.unfinished_routes(connection, job)]


def finished(database, job):
    with database.write() as connection:
        return jobs.finish(connection, [job.id], now=START) == [job.id]


def lose_three_times(database, job):
    for _ in range(3):
        assert holder_of(database).claim(job).claims
        rescue(database)


def settle_with(end):
    def act(database, job):
        holder = holder_of(database)
        holder.settle(*map(end, holder.claim(job).claims))

    return act


@pytest.mark.parametrize(
    "act",
    [
        lambda _, job: job,
        lambda database, job: holder_of(database).claim(job),
        settle_with(released),
        settle_with(requeued),
        settle_with(lambda held: requeued(held, START + SECOND)),
        lose_three_times,
    ],
    ids=["fresh", "claimed", "released", "requeued", "due later", "suspect"],
)
def test_a_row_that_is_not_settled_is_work(database, act):
    done = submit_rows(database, rows_named("done"), name="done")
    settle_with(completed)(database, done)
    job = submit_rows(database, rows_named("a"))
    act(database, job)
    assert models_with_work(database, job) == ["m"]
    assert not finished(database, job)
    assert models_with_work(database, done) == []
    assert finished(database, done)


def test_the_followers_that_a_leader_has_left_are_work(database, holder):
    job = submit_rows(database, [Row(f"r{number}", b"same") for number in range(8)])
    with mock.patch.object(single_flight, "MOST_AT_ONCE", 3):
        holder.settle(*map(completed, holder.claim(job).claims))
        more = True
        while more:
            assert models_with_work(database, job) == ["m"]
            assert not finished(database, job)
            with database.write() as connection:
                _, more = shared_ends.share_some(connection)
    assert models_with_work(database, job) == []
    assert finished(database, job)
    assert job_now(database, job).state is JobState.COMPLETED


def test_a_job_without_a_row_has_no_work(database):
    assert finished(database, submit_rows(database, []))


def test_each_model_has_work_of_its_own(database, holder):
    job = submit_rows(database, [Row("a", model="y"), Row("b", model="x"), *numbered(2)])
    assert models_with_work(database, job) == ["m", "x", "y"]
    holder.settle(*(completed(each) for each in holder.claim(job).claims if each.custom_id != "b"))
    assert models_with_work(database, job) == ["x"]
    cancel(database, job)
    assert models_with_work(database, job) == ["x"]
