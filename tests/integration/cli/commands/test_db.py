"""`batcher db`: the store looked after."""

import fcntl
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from batcher.store.sqlite import migrate
from tests.support.commands import batcher
from tests.support.jobs import live_runner, rows, run_job, store_in


@pytest.fixture
def store(folder):
    run_job(folder, rows(answered=2, dead=1))
    return folder / "batcher.db"


def change(path, statement):
    """Change a store that nobody has open, behind the program's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(statement)


def damage(path):
    """Overwrite the middle of the file's pages, the first spared."""
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 4096] = b"\xa5" * (len(content) - 4096 - 8192)
    path.write_bytes(content)


def test_a_sound_store_is_said_to_be_sound(store):
    found = batcher("db", "check", "--json")
    assert found.code == 0
    assert found.json == {
        "store": "batcher.db",
        "ok": True,
        "problems": [],
        "miscounted": [],
        "revision": migrate.HEAD,
        "current": migrate.HEAD,
        "counts": {"jobs": 1, "requests": 3, "answers": 2, "attempts": 3, "kept_for_reuse": 2},
        "bytes": found.json["bytes"],
    }
    assert found.json["bytes"] >= store.stat().st_size > 0
    assert "batcher.db: sound, schema" in batcher("db", "check").out


def test_a_reference_to_nothing_is_damage(store):
    change(store, "DELETE FROM responses WHERE id = 1")
    found = batcher("db", "check", "--json")
    assert found.code == 1
    assert found.json["ok"] is False
    assert any("of requests names a row of responses" in problem for problem in found.json["problems"])
    assert "replace it with a backup" in batcher("db", "check").out


def test_a_wrong_count_is_no_damage_and_is_counted_again(store):
    before = batcher("status", "1", "--json").json["counts"]
    change(store, "UPDATE job_counts SET completed = completed + 1")
    found = batcher("db", "check", "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert (found.json["problems"], found.json["miscounted"]) == ([], [1])
    called = batcher("db", "check")
    assert "the counts of job 1 are not those of its rows" in called.out
    assert "→ `batcher db compact` counts the rows again" in called.out
    assert batcher("db", "compact").code == 0
    assert batcher("db", "check").code == 0
    assert batcher("status", "1", "--json").json["counts"] == before


def test_damaged_pages_are_damage(store):
    damage(store)
    called = batcher("db", "check")
    assert (called.code, called.err) == (1, "")
    assert "batcher.db: damaged" in called.out
    assert "replace it with a backup" in called.out
    found = batcher("db", "check", "--json").json
    assert found["ok"] is False
    assert found["problems"] != []


def test_a_damaged_index_is_damage(store):
    change(
        store,
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_master SET sql = replace(sql, 'dead_lettered', 'completed')"
        " WHERE name = 'ix_requests_dead'",
    )
    found = batcher("db", "check", "--json")
    assert found.code == 1
    assert any("ix_requests_dead" in problem for problem in found.json["problems"])


def test_a_file_of_another_kind_is_no_store(folder):
    (folder / "batcher.db").write_bytes(b"text " * 2000)
    called = batcher("db", "check", "--json")
    assert called.code == 1
    assert "is not a store" in called.json["error"]["message"]


def test_check_may_be_asked_beside_a_runner(store):
    with live_runner(store.parent):
        assert batcher("db", "check").code == 0


def test_a_backup_is_a_store_with_the_same_content(store):
    called = batcher("db", "backup", "copy.db")
    assert called.code == 0
    assert "batcher.db → copy.db" in called.out
    copy = store.parent / "copy.db"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [path.name for path in store.parent.glob("copy.db*")] == ["copy.db"]
    assert batcher("results", "-o", "-", "--db", "copy.db").out == batcher("results", "-o", "-").out != ""
    assert batcher("db", "check", "--db", "copy.db").code == 0


def test_a_backup_holds_what_is_only_in_the_log_so_far(store):
    with store_in(store.parent) as database:
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET name = 'renamed'")
        assert (store.parent / "batcher.db-wal").stat().st_size > 0
        assert batcher("db", "backup", "copy.db").code == 0
    assert batcher("status", "--db", "copy.db", "--json").json["data"][0]["name"] == "renamed"


def test_a_file_that_is_there_is_replaced_only_by_force(store):
    (store.parent / "copy.db").write_text("mine")
    called = batcher("db", "backup", "copy.db")
    assert called.code == 2
    assert "--force" in called.err
    assert (store.parent / "copy.db").read_text() == "mine"
    assert batcher("db", "backup", "copy.db", "--force").code == 0
    assert batcher("db", "check", "--db", "copy.db").code == 0


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("batcher.db", "is the store itself"),
        ("nowhere/copy.db", "does not exist"),
        (".", "is a folder"),
        ("used.db", "used.db-wal exists"),
    ],
)
def test_a_backup_that_would_destroy_something_is_refused(store, target, says):
    (store.parent / "used.db-wal").write_text("log")
    called = batcher("db", "backup", target, "--force")
    assert (called.code, called.out) == (2, "")
    assert says in called.err
    assert batcher("db", "check").code == 0
    assert not list(store.parent.glob("*.tmp"))


def test_a_store_with_two_names_is_refused_before_anything_is_copied(store):
    (store.parent / "hard.db").hardlink_to(store)
    called = batcher("db", "backup", "hard.db", "--force")
    assert (called.code, called.out) == (2, "")
    assert "is the store itself" in called.err
    assert "remove all but one" in batcher("db", "check").err


@pytest.mark.usefixtures("store")
def test_upgrade_of_a_current_store_says_so():
    called = batcher("db", "upgrade")
    assert called.code == 0
    assert f"is up to date (schema {migrate.HEAD})" in called.out


def test_upgrade_makes_the_schema_in_an_empty_file(folder):
    (folder / "batcher.db").touch(mode=0o600)
    assert batcher("db", "upgrade").out == f"batcher.db was upgraded from schema none to {migrate.HEAD}\n"
    assert batcher("db", "check").code == 0


_NEWER = "UPDATE alembic_version SET version_num = '9999'; UPDATE store SET program_version = '7.0'"


@pytest.mark.parametrize("command", ["upgrade", "check"])
def test_a_newer_store_is_refused_by_name(store, command):
    change(store, _NEWER)
    called = batcher("db", command)
    assert called.code == 1
    assert "made by batcher 7.0 (schema 9999)" in called.err


def test_a_newer_store_can_be_backed_up_all_the_same(store):
    change(store, _NEWER)
    assert batcher("db", "backup", "copy.db").code == 0


@pytest.mark.parametrize("command", [["upgrade"], ["check"], ["backup", "copy.db"]])
def test_without_a_store_there_is_nothing_to_look_after(folder, command):
    called = batcher("db", *command)
    assert called.code == 1
    assert "there is no store at batcher.db" in called.err
    assert list(folder.iterdir()) == []


def test_an_upgrade_is_refused_while_a_runner_lives(folder):
    (folder / "batcher.db").touch(mode=0o600)
    with live_runner(folder):
        called = batcher("db", "upgrade")
    assert called.code == 1
    assert "a runner (pid" in called.err


@pytest.mark.usefixtures("store")
def test_what_a_killed_backup_left_goes_with_the_next_and_what_is_written_stays():
    left, written = Path(".copy.db.abcd_123.tmp"), Path(".copy.db.abcd_456.tmp")
    left.touch()
    with written.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert batcher("db", "backup", "copy.db").code == 0
    assert not left.exists()
    assert written.exists()
    assert Path("copy.db").exists()
