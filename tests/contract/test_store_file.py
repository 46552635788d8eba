"""The file itself: private, ours or refused, upgraded once, shared by processes without harm."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from batcher.domain.errors import ForeignStore, RunnerBusy, StoreError, StoreTooNew
from batcher.store import migrate
from batcher.store.engine import Database
from batcher.store.locks import RunnerLock
from batcher.store.tables import metadata
from tests.support.stores import START, Row, open_store, submit_rows, table

TOP = Path(__file__).parents[2]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def script(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process on the same store."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


# --- private from its first moment ---


def test_every_file_of_the_store_is_private(tmp_path):
    before = os.umask(0)
    try:
        database = open_store(tmp_path)
        lock = RunnerLock(database.path)
        with database.read() as connection:
            connection.execute(text("SELECT 1 FROM store")).all()
            files = {path.name: mode(path) for path in tmp_path.iterdir()}
        lock.close()
        database.close()
    finally:
        os.umask(before)
    assert files == dict.fromkeys(
        [
            "batcher.db",
            "batcher.db-runner",
            "batcher.db-shm",
            "batcher.db-wal",
            "batcher.db-write",
        ],
        0o600,
    )


def test_a_closed_store_is_one_whole_file(tmp_path):
    database = open_store(tmp_path)
    database.close()
    database.close()
    assert not (tmp_path / "batcher.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "batcher.db")) as connection:
        assert connection.execute("SELECT count(*) FROM store").fetchone() == (1,)


def test_the_store_is_in_wal_and_flushes_every_commit(database):
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


# --- what is not ours is refused and left as it was ---


def text_file(path: Path) -> None:
    path.write_text("these are the notes of somebody else\n" * 100)


def short_file(path: Path) -> None:
    path.write_text("no")


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()


def marked_by_another(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()


@pytest.mark.parametrize("make", [text_file, short_file, other_program, marked_by_another])
def test_a_file_of_another_program_is_refused_and_left_as_it_was(tmp_path, make):
    path = tmp_path / "other.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(ForeignStore) as caught:
        Database(path)
    assert str(path) in caught.value.message
    assert caught.value.hint == "name another file with --db"
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "batcher.db").touch()
    open_store(tmp_path).close()


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        Database(tmp_path)


def test_a_place_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"cannot make the store .*nowhere") as caught:
        Database(tmp_path / "nowhere" / "batcher.db")
    assert caught.value.hint == "choose another place with --db"


def test_a_damaged_store_says_so(tmp_path):
    open_store(tmp_path).close()
    path = tmp_path / "batcher.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))

    def look() -> None:
        database = Database(path)
        try:
            migrate.is_current(database)
        finally:
            database.close()

    with pytest.raises(StoreError, match="damaged") as caught:
        look()
    assert caught.value.hint == "see `batcher db check`"


def test_a_broken_rule_is_not_told_as_a_broken_file(database):
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(text("INSERT INTO store VALUES (2, '', 0, '')"))


# --- the schema ---


def test_an_upgrade_is_needed_once_and_never_again(tmp_path):
    database = Database(tmp_path / "batcher.db")
    with pytest.raises(StoreError) as caught:
        migrate.require_current(database)
    assert caught.value.hint == "run `batcher db upgrade`"
    migrate.upgrade(database, now=START)
    before = table(database, "store")
    migrate.upgrade(database, now=START + 1)
    migrate.require_current(database)
    assert table(database, "store") == before
    assert [row["version_num"] for row in table(database, "alembic_version")] == [migrate.HEAD]
    database.close()


def test_an_upgrade_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "_write_identity", fail)
    database = Database(tmp_path / "batcher.db")
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(database, now=START)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    database.close()


@pytest.mark.parametrize(
    ("store", "named"),
    [("UPDATE store SET program_version = '9.9'", "9.9"), ("DROP TABLE store", "later version")],
)
def test_a_store_of_a_newer_program_is_refused_by_name(database, store, named):
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
        connection.execute(text(store))
    for look in (migrate.is_current, migrate.require_current, lambda each: migrate.upgrade(each, now=START)):
        with pytest.raises(StoreTooNew) as caught:
            look(database)
        assert named in caught.value.message
        assert "schema 0999" in caught.value.message
        assert str(database.path) in caught.value.message


def schema_of(path: Path) -> dict[str, str]:
    """The SQL of every table and index, its spelling evened out."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {
        name: re.sub(r'[\s"]+', " ", sql)
        for name, sql in found
        if not name.startswith("sqlite_") and name != "alembic_version"
    }


def test_the_migrations_make_what_the_tables_say(tmp_path):
    open_store(tmp_path, "migrated.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    metadata.create_all(engine)
    engine.dispose()
    migrated, made = schema_of(tmp_path / "migrated.db"), schema_of(tmp_path / "made.db")
    assert migrated == made
    # What this comparison must not lose sight of.
    assert "WITHOUT ROWID" in migrated["attempts"]
    assert "AUTOINCREMENT" in migrated["requests"]
    assert "WHERE state = 'pending' AND available_at IS NULL" in migrated["ix_requests_fresh"]


def test_the_program_knows_exactly_the_migrations_it_ships():
    config = Config()
    config.set_main_option("script_location", str(migrate.scripts()))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrate.HEAD
    assert tuple(each.revision for each in scripts.walk_revisions())[::-1] == migrate.KNOWN


# --- several processes ---

RUN = """
import sys, time
from pathlib import Path
from batcher.domain.errors import RunnerBusy
from batcher.store.locks import RunnerLock
lock = RunnerLock(Path(sys.argv[1]))
lock.acquire()
print("running", flush=True)
time.sleep(60)
"""


def test_one_runner_at_a_time_and_its_death_frees_the_place(database):
    other = script(RUN, database.path)
    assert line_from(other) == "running"
    mine = RunnerLock(database.path)
    try:
        assert mine.is_live()
        with pytest.raises(RunnerBusy) as caught:
            mine.acquire()
        assert caught.value.pid == other.pid
        other.send_signal(signal.SIGKILL)
        other.communicate()
        assert not mine.is_live()
        mine.acquire()
        assert mine.pid() == os.getpid()
    finally:
        end(other)
        mine.close()


def test_a_runner_that_asks_whether_another_lives_keeps_its_place(database):
    runner, other = RunnerLock(database.path), RunnerLock(database.path)
    runner.acquire()
    assert not runner.is_live()
    assert other.is_live()
    with pytest.raises(RunnerBusy):
        other.acquire()
    runner.close()
    assert not other.is_live()
    other.close()


HOLD = """
import sys
from pathlib import Path
from batcher.store.engine import Database
database = Database(Path(sys.argv[1]))
with database.write() as connection:
    connection.exec_driver_sql("UPDATE jobs SET name = 'theirs'")
    print("writing", flush=True)
    sys.stdin.readline()
print("written", flush=True)
sys.stdin.readline()
"""


def name_of(database: Database) -> str:
    return str(table(database, "jobs")[0]["name"])


def test_writers_of_two_processes_go_one_after_the_other_and_readers_wait_for_none(database):
    submit_rows(database, [Row("a")], name="mine")
    other = script(HOLD, database.path)
    try:
        assert line_from(other) == "writing"
        seen: list[str] = []

        def write() -> None:
            with database.write() as connection:
                seen.append(connection.exec_driver_sql("SELECT name FROM jobs").scalar_one())

        writing = threading.Thread(target=write)
        writing.start()
        assert name_of(database) == "mine"
        writing.join(0.2)
        assert seen == []
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert line_from(other) == "written"
        writing.join(10)
        assert seen == ["theirs"]
    finally:
        end(other)


def test_a_writer_that_is_killed_leaves_no_lock_and_nothing_half_written(database):
    submit_rows(database, [Row("a")], name="mine")
    other = script(HOLD, database.path)
    assert line_from(other) == "writing"
    end(other)
    with database.write() as connection:
        assert connection.exec_driver_sql("SELECT name FROM jobs").scalar_one() == "mine"


def test_a_reader_sees_one_moment_however_long_it_reads(database):
    submit_rows(database, [Row("a")], name="before")
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT name FROM jobs").scalar_one() == "before"
        with database.write() as writing:
            writing.exec_driver_sql("UPDATE jobs SET name = 'after'")
        assert connection.exec_driver_sql("SELECT name FROM jobs").scalar_one() == "before"
    assert name_of(database) == "after"


def test_a_reader_cannot_write(database):
    with pytest.raises(StoreError, match="readonly"), database.read() as connection:
        connection.exec_driver_sql("DELETE FROM store")


def test_a_write_that_fails_is_undone_whole(database):
    submit_rows(database, [Row("a")], name="before")

    def fail() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET name = 'after'")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert name_of(database) == "before"


def test_writers_of_one_process_queue_up(database):
    submit_rows(database, [Row("a")])

    def count() -> None:
        for _ in range(25):
            with database.write() as connection:
                now = connection.exec_driver_sql("SELECT active_us FROM jobs").scalar_one()
                connection.exec_driver_sql("UPDATE jobs SET active_us = ?", (now + 1,))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table(database, "jobs")[0]["active_us"] == 100


def test_a_full_disk_is_told_as_one_and_loses_nothing(database):
    submit_rows(database, [Row("a")], name="before")

    def fill() -> None:
        with database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.exec_driver_sql("UPDATE jobs SET name = zeroblob(1000000)")

    with pytest.raises(StoreError, match="full") as caught:
        fill()
    assert caught.value.hint is not None
    assert "free some space" in caught.value.hint
    assert name_of(database) == "before"
