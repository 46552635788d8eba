"""A job file in several chunks: what breaks off between them leaves nothing, and the file can be given again."""

import json
from io import BytesIO

import pytest

from batcher.domain.errors import InputError, StoreError
from batcher.domain.settings import JobSettings
from batcher.files.source import Source
from batcher.ports import Store
from batcher.services.jobs import line_chunks
from batcher.services.jobs import submit as submitting
from batcher.services.jobs.options import SubmitOptions
from batcher.services.jobs.submit import Submitted, submit_file
from batcher.store.jobs import loading
from tests.support.stores import BASE_URL, ManualClock, stored, table


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(line_chunks, "_CHUNK_ROWS", 3)


def file_of(*names: str) -> Source:
    messages = [{"role": "user", "content": "?"}]
    lines = [{"custom_id": name, "model": "m", "messages": messages, "user": name} for name in names]
    return Source(BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode()), name="f.jsonl", packing="")


def load(database: Store, source: Source, progress=None, *, skip_invalid: bool = False) -> Submitted:
    options = SubmitOptions(skip_invalid=skip_invalid)
    settings = JobSettings(base_url=BASE_URL)
    return submit_file(database, source, settings, options, clock=ManualClock(), progress=progress)


def assert_nothing_is_left(database: Store) -> None:
    assert [table(database, name) for name in ("jobs", "routes", "requests", "bodies", "rejected")] == [[]] * 5


TEN = [f"r{number}" for number in range(10)]


def test_chunks_are_stored_in_file_order_and_progress_counts_lines(database):
    told: list[int] = []
    loaded = load(database, file_of(*TEN), told.append)
    assert (loaded.job.total, told) == (10, [3, 6, 9, 10])
    assert list(stored(database)) == TEN
    assert len(table(database, "bodies")) == 10


@pytest.mark.parametrize("at", [3, 9, 10])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_load_that_is_interrupted_leaves_nothing_and_can_be_done_again(database, at, stop):
    def interrupt(lines: int) -> None:
        if lines == at:
            raise stop

    with pytest.raises(stop):
        load(database, file_of(*TEN), interrupt)
    assert_nothing_is_left(database)
    assert load(database, file_of(*TEN)).job.id == 1


@pytest.mark.parametrize("failing", [1, 2, 4])
def test_a_chunk_that_cannot_be_stored_leaves_nothing(database, failing, monkeypatch):
    add, added = loading.add, 0

    def fail(*given, **options):
        nonlocal added
        added += 1
        if added == failing:
            raise OSError("no space left")
        return add(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "add", fail)
        with pytest.raises(OSError, match="no space left"):
            load(database, file_of(*TEN))
    assert added == failing
    assert_nothing_is_left(database)
    assert load(database, file_of(*TEN)).job.total == 10


def test_repeats_across_chunks_are_all_told(database):
    with pytest.raises(InputError) as refused:
        load(database, file_of("a", "b", "c", "a", "d", "e", "b"))
    assert [bad.line for bad in refused.value.bad] == [4, 7]
    assert_nothing_is_left(database)


def test_repeats_across_chunks_are_passed_over_where_that_is_asked(database):
    loaded = load(database, file_of("a", "b", "c", "a", "d", "e", "b"), skip_invalid=True)
    assert (loaded.job.total, loaded.rejected) == (5, 2)
    assert list(stored(database)) == ["a", "b", "c", "d", "e"]
    assert [each["line"] for each in table(database, "rejected")] == [4, 7]


def test_a_job_that_was_shown_stays_whole_if_only_the_answer_to_its_commit_was_lost(database, monkeypatch):
    opened = submitting._Loading._open

    def lost(self, job_id):
        opened(self, job_id)
        raise StoreError("the disk failed, after all was written")

    monkeypatch.setattr(submitting._Loading, "_open", lost)
    with pytest.raises(StoreError, match="after all was written"):
        load(database, file_of(*TEN))
    monkeypatch.undo()
    assert list(stored(database)) == TEN
    again = load(database, file_of(*TEN))
    assert (again.job.id, again.is_new, again.job.total) == (1, False, 10)
