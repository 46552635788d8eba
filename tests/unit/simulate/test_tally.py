"""Counts of requests, and the busiest windows."""

from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.simulate.journal import Entry, Journal
from batcher.simulate.tally import Window

events = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 9)), min_size=1, max_size=60)


@given(events=events, seconds=st.integers(1, 200))
def test_the_largest_window_is_the_one_that_a_search_over_all_finds(
    events: list[tuple[int, int]], seconds: int
) -> None:
    ordered = sorted(events)
    window = Window(seconds)
    for at, amount in ordered:
        window.add(at, amount)
    sums = [sum(amount for at, amount in ordered if last - seconds < at <= last) for last, _ in ordered]
    assert window.largest == max(sums)


def test_an_event_that_is_added_late_counts_with_the_last() -> None:
    window = Window(1)
    for at in (5.0, 4.0, 5.9):
        window.add(at, 1)
    assert window.largest == 3


def entry(status: int | None) -> Entry:
    return Entry(
        at=1.0,
        wall=None,
        method="POST",
        path="/v1/x",
        model="m",
        body="00",
        status=status,
        charge=5.0,
        client_request_id="c-1",
    )


def test_a_journal_counts_in_all_and_by_model() -> None:
    journal = Journal()
    for number, (model, tokens) in enumerate([("a", 5.0), ("a", None), ("b", 7.0), (None, None)]):
        journal.begin(at=number * 0.5, body=b"%d" % (number // 2), model=model, tokens=tokens)
    for model, status in [("a", 200), ("a", 429), ("b", None)]:
        journal.end(model, status, lambda: entry(200))
    stats = journal.stats()
    assert (stats.requests, stats.answered, stats.refused, stats.charged) == (4, 1, 1, 12)
    assert stats.by_status == {"200": 1, "429": 1, "none": 1}
    assert (stats.in_flight, stats.peak_in_flight, stats.distinct_bodies) == (1, 4, 2)
    assert (stats.max_requests_1s, stats.max_requests_60s) == (2, 4)
    assert (stats.max_admitted_60s, stats.max_charged_1s, stats.max_charged_60s) == (2, 7, 12)
    assert {name: model.requests for name, model in stats.models.items()} == {"a": 2, "b": 1}


@pytest.mark.parametrize(("keep", "kept"), [(True, 1), (False, 0)])
def test_requests_are_kept_only_where_asked(keep: bool, kept: int) -> None:
    journal = Journal(keep=keep)
    journal.begin(at=1.0, body=b"x", model="m", tokens=5.0)
    journal.end("m", 200, lambda: entry(200))
    assert len(journal.entries) == kept


def test_a_journals_file_holds_a_whole_line_as_soon_as_the_request_ended(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path=path)
    for status in (200, None):
        journal.begin(at=1.0, body=b"x", model="m", tokens=5.0)
        journal.end("m", status, partial(entry, status))
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Entry) for line in lines] == [entry(200), entry(None)]
    journal.close()
    journal.close()
    assert journal.stats().requests == 2
