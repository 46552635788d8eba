"""What is odd about an answer is kept with the row, with those that share it, and with the answer in the cache."""

from batcher.domain.states import AnswerMark
from batcher.store.reports import job_counts
from tests.support.stores import START, Row, change, completed, names, states, stored, submit_rows, table

SAME_BODY = b'{"same": true}'
CUT, CUT_EMPTY = AnswerMark.TRUNCATED, AnswerMark.TRUNCATED | AnswerMark.EMPTY


def counted(database, job):
    with database.read() as connection:
        found = job_counts.counts(connection, job)
    return found.truncated, found.empty, found.unchecked


async def test_marks_are_counted_for_the_row_and_for_those_that_share_its_answer(database, ask, queue):
    rows = [Row("lead", SAME_BODY), Row("f1", SAME_BODY), Row("plain"), Row("odd"), Row("empty")]
    job = submit_rows(database, rows)
    lead, plain, odd, empty = (await ask(job)).claims
    await queue.settle(
        [
            completed(lead, marks=CUT),
            completed(plain),
            completed(odd, marks=AnswerMark.UNCHECKED),
            completed(empty, marks=CUT_EMPTY),
        ]
    )
    marks = {name: row["marks"] for name, row in stored(database).items()}
    assert marks == {"lead": CUT, "f1": CUT, "plain": 0, "odd": AnswerMark.UNCHECKED, "empty": CUT_EMPTY}
    assert counted(database, job) == (3, 1, 1)


async def test_an_answer_from_the_cache_keeps_its_marks(database, ask, queue):
    first = submit_rows(database, [Row("a", SAME_BODY), Row("b")])
    await queue.settle([completed(claim, marks=CUT) for claim in (await ask(first)).claims])
    later = submit_rows(database, [Row("a", SAME_BODY)], name="later")
    assert names((await ask(later)).claims) == []
    assert counted(database, later) == (1, 0, 0)


async def test_an_empty_answer_never_serves_another_job(database, ask, queue):
    first = submit_rows(database, [Row("a", SAME_BODY), Row("b")])
    a, b = (await ask(first)).claims
    await queue.settle([completed(a, marks=CUT_EMPTY), completed(b)])
    assert len(table(database, "cache")) == 1
    later = submit_rows(database, [Row("again", SAME_BODY)], name="later")
    assert names((await ask(later)).claims) == ["again"]


async def test_a_new_answer_without_marks_replaces_one_with_them(database, ask, queue):
    first = submit_rows(database, [Row("a", SAME_BODY)])
    await queue.settle([completed(claim, marks=CUT) for claim in (await ask(first)).claims])
    fresh = submit_rows(database, [Row("a", SAME_BODY)], name="fresh", reuse_earlier=False)
    await queue.settle([completed(claim) for claim in (await ask(fresh)).claims])
    assert [row["marks"] for row in table(database, "cache")] == [0]


async def test_an_answer_that_nobody_validated_serves_no_job_that_validates(database, ask, queue):
    first = submit_rows(database, [Row("a", SAME_BODY), Row("b", SAME_BODY)], validate_output=False)
    await queue.settle([completed(claim, marks=AnswerMark.UNVALIDATED) for claim in (await ask(first)).claims])
    # It is no oddity of these rows, whose job validates nothing.
    assert [row["marks"] for row in stored(database).values()] == [0, 0]
    alike = submit_rows(database, [Row("again", SAME_BODY)], name="alike", validate_output=False)
    assert (names((await ask(alike)).claims), stored(database, alike)["again"]["marks"]) == ([], 0)
    strict = submit_rows(database, [Row("x", SAME_BODY), Row("y", SAME_BODY)], name="strict")
    (sent,) = (await ask(strict)).claims
    assert (sent.custom_id, states(database, strict)["y"]) == ("x", "pending")
    await queue.settle([completed(sent)])
    assert set(states(database, strict).values()) == {"completed"}
    later = submit_rows(database, [Row("z", SAME_BODY)], name="later")
    assert names((await ask(later)).claims) == []


async def test_a_cut_answer_serves_no_job_that_fails_cut_ones(database, ask, queue):
    first = submit_rows(database, [Row("a", SAME_BODY), Row("b")])
    a, b = (await ask(first)).claims
    await queue.settle([completed(a, marks=CUT), completed(b)])
    strict = submit_rows(database, [Row("a", SAME_BODY), Row("b")], name="strict", fail_truncated=True)
    assert names((await ask(strict)).claims) == ["a"]
    assert states(database, strict) == {"a": "claimed", "b": "completed"}


async def test_within_a_job_too_an_answer_serves_only_rows_that_accept_it(database, ask, queue):
    """As after `dlq retry`, which takes the row's leader from it."""
    rows = [Row("a", SAME_BODY), Row("b", SAME_BODY)]
    job = submit_rows(database, rows, reuse_earlier=False, fail_truncated=True)
    later = "UPDATE requests SET leader_id = NULL, available_at = :later WHERE line = 2"
    change(database, later, later=2 * START)
    (a,) = (await ask(job)).claims
    await queue.settle([completed(a, marks=CUT)])
    change(database, "UPDATE requests SET available_at = NULL WHERE line = 2")
    assert names((await ask(job)).claims) == ["b"]
