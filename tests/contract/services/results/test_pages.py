"""A reader holds no transaction while its consumer is slow; what it yields is whole, whatever happens between."""

import io
import itertools
import json

import pytest

from batcher.domain.errors import UnknownJob
from batcher.domain.requests import BadLine, Filters
from batcher.services.dead_letters import export as dead_letter_export
from batcher.services.dead_letters import retry
from batcher.services.jobs import manage
from batcher.services.results import export, pages
from batcher.store.jobs import loading
from batcher.store.reports import results
from tests.support.stores import completed, dead_lettered, numbered, rows_named, stored, submit_rows


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS", 3)


def names(rows) -> list[str]:
    return [row.custom_id for row in rows]


@pytest.mark.parametrize("count", range(8))
def test_every_row_comes_once_and_in_input_order_whatever_the_pages(database, holder, count):
    job = submit_rows(database, numbered(count + 1))
    holder.settle(*[completed(each) for each in holder.claim(job).claims if each.custom_id != f"r{count}"])
    found = names(pages.answered(database, job, most=3))
    assert found == [f"r{number}" for number in range(count)]


def test_a_page_ends_with_the_bytes_of_its_replies(database, holder, monkeypatch):
    monkeypatch.setattr(pages, "BYTES", 10)
    job = submit_rows(database, numbered(5))
    holder.settle(*[completed(each, b"123456") for each in holder.claim(job).claims])
    sizes = []
    read = results.answered

    def counted(connection, of):
        rows = list(itertools.islice(read(connection, of), 100))
        sizes.append(len(rows))
        return iter(rows)

    monkeypatch.setattr(results, "answered", counted)
    assert len(list(pages.answered(database, job))) == 5
    assert sizes == [5, 3, 1]


def test_rows_that_end_between_the_pages_are_in_it_or_not_but_never_twice(database, holder):
    job = submit_rows(database, numbered(9))
    claims = list(holder.claim(job).claims)
    holder.settle(*map(completed, claims[1::2]))
    rows = pages.answered(database, job, most=2)
    seen = [next(rows)]
    holder.settle(*map(completed, claims[0::2]))
    seen += rows
    assert names(seen) == ["r1", "r3", "r4", "r5", "r6", "r7", "r8"]


def test_dead_letters_that_are_put_back_between_the_pages_make_no_duplicates(database, holder, monkeypatch):
    monkeypatch.setattr(pages, "ROWS", 2)
    job = submit_rows(database, numbered(6))
    holder.settle(*[dead_lettered(each) for each in holder.claim(job).claims])
    lines = dead_letter_export._lines(database, Filters(job=job.id))
    first = next(lines)
    retry.retry_job(database, job)
    holder.settle(*[dead_lettered(each, "again") for each in holder.claim(job).claims if each.custom_id != "r4"])
    exported = [first, *lines]
    assert [line.count(b'"custom_id"') for line in exported] == [1] * 5
    assert b"r4" not in b"".join(exported)


@pytest.mark.usefixtures("small_pages")
def test_skipped_lines_stand_between_the_dead_letters_by_their_lines(database, holder):
    job = submit_rows(database, numbered(5))
    holder.settle(*[dead_lettered(each) for each in holder.claim(job).claims])
    bad = [BadLine(line=line, reason="bad", text="{", custom_id=f"bad{line}") for line in (7, 8, 9, 10, 11, 12)]
    with database.write() as connection:
        loading.add_rejected(connection, job.id, bad)
    found = [json.loads(line)["custom_id"] for line in export.failed_lines(database, job)]
    assert found == [*(f"r{n}" for n in range(5)), *(f"bad{n}" for n in range(7, 13))]


@pytest.mark.usefixtures("small_pages")
def test_a_job_that_is_deleted_meanwhile_leaves_no_torn_file(database, holder, clock):
    job = submit_rows(database, numbered(9))
    holder.settle(*[completed(each) for each in holder.claim(job).claims])
    lines = export.answered_lines(database, job)
    next(lines)
    manage.delete(database, job, clock=clock)
    with pytest.raises(UnknownJob, match="deleted"):
        export.write_lines(io.BytesIO(), lines)


def test_large_results_are_read_a_few_at_a_time_by_number(database, holder):
    job = submit_rows(database, rows_named("a", "b", "c", "d"))
    a, b, _, d = holder.claim(job).claims
    holder.settle(completed(d, b"12345"), dead_lettered(b, reply=b"12345"), completed(a, b"12345"))
    ids = [stored(database, job)[name]["id"] for name in ("d", "c", "b", "a")]
    with database.read() as connection:
        assert names(results.some(connection, ids, most_bytes=100)) == ["a", "b", "d"]
        assert names(results.some(connection, ids, most_bytes=6)) == ["a", "b"]
        assert names(results.some(connection, ids, most_bytes=1)) == ["a"]
