"""Between two runs the store is deleted, or something else stands in its place, or an older one."""

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import batcher, job_file
from tests.support.programs import Provider, provider_process, rows_of, running
from tests.torture.forms import CONCURRENCY, IS_LONG, in_the_long_form, patient
from tests.torture.ledger import STORE, Ledger, digest_of, row

pytestmark = [pytest.mark.usefixtures("folder"), patient]

_JOURNAL = Path("journal.jsonl")
_RESULTS = Path("j.results.jsonl")
_ROWS = 200


def _text(store: Path) -> None:
    store.write_text("not a store\n" * 500)


def _foreign(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.execute("INSERT INTO recipes VALUES ('soup')")


def _cut(store: Path) -> None:
    store.write_bytes(Path("kept").read_bytes()[: 30 * 4_096 + 100])


#: What is put in the store's place, and what the program says of it.
_INSTEAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "deleted": (lambda _: None, "there is no store at"),
    "a folder": (Path.mkdir, "is a folder, not a store"),
    "a text file": (_text, "is not a store of batcher"),
    "another database": (_foreign, "is an SQLite file of another program"),
    "cut off": (_cut, "is damaged"),
}
_COMMANDS = (("resume",), ("status", 1), ("results", 1, "-o", "-"), ("dlq", "list"), ("db", "check"))


def interrupted(server: Provider, lines: list[dict[str, Any]], which: signal.Signals) -> Path:
    """A job file whose run was ended by the signal, amid it."""
    file = job_file(Path("j.jsonl"), *lines)
    with running("run", file, "--base-url", server.url, "--concurrency", CONCURRENCY) as program:
        server.wait_for(80)
        program.send(which)
        program.end()
    return file


@pytest.mark.parametrize("what", list(_INSTEAD) if IS_LONG else ["another database"])
def test_where_the_store_stood_is_something_else_and_nothing_is_sent_or_overwritten(tell, what) -> None:
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        interrupted(server, [row(f"row-{number}") for number in range(_ROWS)], signal.SIGTERM)
        STORE.rename("kept")
        put, words = _INSTEAD[what]
        put(STORE)
        content = STORE.read_bytes() if STORE.is_file() else None
        before = server.requests
        said = ""
        for command in _COMMANDS:
            called = batcher(*command)
            said += called.err + called.out
            assert "Traceback" not in called.err
            assert "internal error" not in called.err
        assert words in said
        assert (STORE.read_bytes() if STORE.is_file() else None) == content
        assert server.requests == before
        if STORE.is_dir():
            STORE.rmdir()
        Path("kept").replace(STORE)
        assert batcher("resume", "-q").code == 0
        assert len(rows_of(_RESULTS)) == _ROWS
    assert server_saw_each_once()
    tell(f"between runs, store: {what}, then put back", times=1, rows=_ROWS, lost=0, repeats=0)


def server_saw_each_once() -> bool:
    seen = [entry["body"] for entry in rows_of(_JOURNAL)]
    return len(seen) == len(set(seen)) == _ROWS


@pytest.mark.parametrize("log", ["and its log", "but its log stays"] if IS_LONG else ["but its log stays"])
def test_a_run_whose_store_was_deleted_starts_over_and_answers_every_row(tell, log) -> None:
    lines = [row(f"row-{number}") for number in range(_ROWS)]
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        file = interrupted(server, lines, signal.SIGKILL)
        for part in [STORE, *(Path().glob("batcher.db-*") if log == "and its log" else ())]:
            part.unlink()
        assert batcher("run", file, "--base-url", server.url, "-q").code == 0
        ledger = Ledger(lines=lines, server=server, journal=_JOURNAL, concurrency=CONCURRENCY, kills=_ROWS)
        ledger.check_end(_RESULTS)
    tell(f"store deleted {log}", times=1, rows=_ROWS, lost=ledger.lost, repeats="-")


@in_the_long_form
def test_a_run_goes_on_from_a_backup_that_was_put_back(tell) -> None:
    lines = [row(f"row-{number}") for number in range(_ROWS)]
    with provider_process(journal=_JOURNAL, latency=0.05) as server:
        file = interrupted(server, lines, signal.SIGTERM)
        assert batcher("db", "backup", "kept").code == 0
        backed_up = batcher("status", 1, "--json").json["counts"]["completed"]
        assert batcher("run", file, "--base-url", server.url, "-q").code == 0
        for part in Path().glob("batcher.db*"):
            part.unlink()
        Path("kept").replace(STORE)
        assert batcher("run", file, "--base-url", server.url, "-q").code == 0
        seen = Counter(entry["body"] for entry in rows_of(_JOURNAL))
    results = rows_of(_RESULTS)
    assert [each["custom_id"] for each in results] == [line["custom_id"] for line in lines]
    assert all(
        each["response"]["body"]["id"] == f"chatcmpl-{digest_of(row(each['custom_id']))}" for each in results
    )
    # What was answered after the backup is asked again; nothing that stands in it.
    assert (len(seen), seen.total() - _ROWS) == (_ROWS, _ROWS - backed_up)
    tell("store put back from a backup", times=1, rows=_ROWS, lost=0, repeats=_ROWS - backed_up)
