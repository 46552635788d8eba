"""A provider that lies: about tokens, limits, waits, lengths and what an answer is."""

from itertools import islice
from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import provider_process, rows_of
from tests.torture.forms import FORM, IS_LONG, patient
from tests.torture.ledger import Ledger, row
from tests.torture.lying import LIES, Lie, lying

pytestmark = [pytest.mark.usefixtures("folder"), patient]

_JOURNAL = Path("journal.jsonl")
_RESULTS = Path("j.results.jsonl")
_HEALTHY = 100


def sends(lie: Lie) -> int:
    """How often the provider is asked for a row that is lied about once."""
    return int(lie.asks) + int(lie.again)


#: Lies that are no failure of the row: the lane waits for a better time.
_REFUSALS = {name: lie for name, lie in LIES.items() if not lie.asks}
_FAILURES = {name: lie for name, lie in LIES.items() if lie.asks}


@pytest.mark.parametrize(
    ("lies", "times"),
    [
        pytest.param(_FAILURES, FORM.times, id="failures"),
        # One after the other holds the lane up twice as long each time.
        pytest.param(_REFUSALS if IS_LONG else dict(islice(_REFUSALS.items(), 1)), 1, id="refusals"),
    ],
)
def test_lied_to_about_a_row_it_asks_again_where_it_must_and_delivers_the_true_answer(tell, lies, times) -> None:
    rows = {f"{name} {number}": name for number in range(times) for name in lies}
    lines = [row(name) for name in (*rows, *(f"row-{number}" for number in range(_HEALTHY)))]
    file = job_file(Path("j.jsonl"), *lines)
    with (
        provider_process(journal=_JOURNAL, latency=0.02) as server,
        lying(server, rows, always=frozenset()) as gateway,
    ):
        called = batcher("run", file, "--base-url", gateway.url, "--rpm", 6_000, "--concurrency", 16, "-q")
        assert called.code == 0, called.err
        ledger = Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=16)
        ledger.sends |= {ledger.digests[content]: sends(LIES[name]) for content, name in rows.items()}
        ledger.check_end(_RESULTS)
    seen = {content: ledger.seen[ledger.digests[content]] for content in rows}
    assert seen == {content: sends(LIES[name]) for content, name in rows.items()}
    assert gateway.told == dict.fromkeys(lies, times)
    tokens = batcher("status", 1, "--json").json["tokens"]
    assert all(0 <= count < 10**7 for count in tokens.values()), tokens
    tell(
        f"{len(lies)} lies about rows", times=len(rows), rows=len(lines), lost=ledger.lost, repeats=ledger.repeats
    )


def test_lied_to_about_a_row_again_and_again_it_gives_that_row_up_and_no_other(tell) -> None:
    rows = {name: name for name in _FAILURES}
    lines = [row(name) for name in (*rows, *(f"row-{number}" for number in range(_HEALTHY)))]
    file = job_file(Path("j.jsonl"), *lines)
    options = ("--rpm", 6_000, "--concurrency", 16, "--max-attempts", 2, "-q")
    with (
        provider_process(journal=_JOURNAL, latency=0.02) as server,
        lying(server, rows, always=frozenset(rows)) as gateway,
    ):
        called = batcher("run", file, "--base-url", gateway.url, *options)
        assert called.code == 3, called.err
        ledger = Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=16)
        ledger.doomed |= {name for name in rows if LIES[name].again}
        ledger.read_journal()
        seen = {name: ledger.seen[ledger.digests[name]] for name in rows}
        # What breaks off while everything else breaks off, too, is an outage, and costs the row no attempt.
        assert all(times in ({2, 3} if LIES[name].again else {1}) for name, times in seen.items()), seen
        ledger.sends |= {ledger.digests[name]: times for name, times in seen.items()}
        ledger.check_end(_RESULTS)
    told = {each["custom_id"]: each["error"]["attempts"] for each in rows_of("j.errors.jsonl")}
    assert told == {name: seen[name] for name in ledger.doomed}
    tell("lies without end", times=len(rows), rows=len(lines), lost=ledger.lost, repeats=ledger.repeats)
