"""The wall clock is set an hour forward or back, while the program runs or between two runs (libfaketime)."""

from pathlib import Path

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, provider_process, rows_of, running
from tests.torture.forms import CONCURRENCY, IS_LONG, in_the_long_form, patient
from tests.torture.ledger import TOLD_SECONDS, Ledger, row

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.skipif(not _LIBRARIES, reason="libfaketime is not installed (apt-get install faketime)"),
    patient,
]

_JOURNAL = Path("journal.jsonl")
_SET_TO = Path("set-to")
_ENVIRON = {"LD_PRELOAD": str(_LIBRARIES[-1]) if _LIBRARIES else "", "DONT_FAKE_MONOTONIC": "1"}
_ROWS = 200 if IS_LONG else 45


def set_clock(offset: str) -> None:
    """What the wall clock of `faked` programs is off by, from now on: "+3600"."""
    # In one piece: the library reads the file whenever it likes.
    whole = _SET_TO.with_suffix(".new")
    whole.write_text(f"{offset}\n")
    whole.replace(_SET_TO)


@pytest.fixture
def faked(folder: Path) -> dict[str, str]:
    """The environment of a program whose wall clock `set_clock` sets."""
    set_clock("+0")
    return {**_ENVIRON, "FAKETIME_TIMESTAMP_FILE": str(folder / _SET_TO), "FAKETIME_CACHE_DURATION": "1"}


def submitted(server: Provider) -> Ledger:
    """A job some rows of which fail twice; one is told to come back later, and its lane with it."""
    directions = dict.fromkeys(range(0, _ROWS, 16), "twice") | {_ROWS // 3: "told"}
    lines = [row(f"row-{number}", direction=directions.get(number)) for number in range(_ROWS)]
    file = job_file(Path("j.jsonl"), *lines)
    assert batcher("submit", file, "--base-url", server.url, "--rpm", 6_000).code == 0
    return Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=CONCURRENCY)


def came_back_after(ledger: Ledger) -> float:
    """Seconds after which the row that was told to wait came back."""
    told = ledger.digests[f"row-{_ROWS // 3}"]
    first, second = [entry["at"] for entry in rows_of(_JOURNAL) if entry["body"] == told]
    return float(second - first)


@pytest.mark.parametrize(
    "steps", [("+3600",), ("-3600",), ("+3600", "+0", "-3600", "+0")] if IS_LONG else [("-3600",)]
)
def test_a_clock_that_is_set_during_the_run_neither_holds_it_up_nor_hurries_it(tell, faked, steps) -> None:
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server)
        with running("resume", "--concurrency", 16, **faked) as program:
            for step in steps:
                server.wait_for(server.requests + 15)
                set_clock(step)
            code, _, said = program.end(within=90)
        assert code == 0, said
        ledger.check_end(Path("j.results.jsonl"))
    assert ledger.repeats == 0
    assert came_back_after(ledger) >= TOLD_SECONDS
    tell(
        f"clock set: {', '.join(steps)} s", times=len(steps), rows=_ROWS, lost=ledger.lost, repeats=ledger.repeats
    )


@in_the_long_form
@pytest.mark.parametrize("step", ["+3600", "-3600"])
def test_a_clock_that_was_wrong_in_a_run_that_died_does_not_hold_up_the_next(tell, faked, step) -> None:
    set_clock(step)
    with provider_process(journal=_JOURNAL, latency=0.1) as server:
        ledger = submitted(server)
        with running("resume", "--concurrency", 16, **faked) as program:
            server.wait_for(25)
            ledger.in_flight, ledger.kills = server.stats()["in_flight"], 1
            program.kill()
        with running("resume", "--concurrency", 16) as program:
            code, _, said = program.end(within=90)
        assert code == 0, said
        ledger.check_end(Path("j.results.jsonl"))
    tell(
        f"clock off by {step} s in a run that is killed",
        times=1,
        rows=_ROWS,
        lost=ledger.lost,
        repeats=ledger.repeats,
        in_flight=ledger.in_flight,
    )
