"""What is odd about an answer is kept with the row, with those that share it, and with the answer in the cache."""

from batcher.domain.states import AnswerMark
from batcher.store.reports import job_counts
from tests.support.stores import Row, completed, names, stored, submit_rows, table

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
