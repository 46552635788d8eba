"""What commands advise reaches the same store, whether a person or a program reads it."""

from tests.support.commands import batcher
from tests.support.jobs import rows, run_job


def test_the_hint_of_an_error_names_the_store_under_json_too(folder):
    run_job(folder, rows(answered=1))
    (folder / "batcher.db").rename(folder / "my store.db")
    called = batcher("status", "nope", "--db", "my store.db", "--json")
    hint = "`batcher status --db 'my store.db'` lists the jobs"
    assert called.json["error"]["hint"] == hint
    assert hint in called.err


def test_the_advice_about_a_dead_letter_names_the_store_under_json_too(folder):
    run_job(folder, rows(dead=1))
    (folder / "batcher.db").rename(folder / "x.db")
    (letter,) = batcher("dlq", "list", "--db", "x.db", "--json").json["data"]
    assert "--db x.db`" in letter["advice"]
    assert "`batcher dlq retry" in letter["advice"]
