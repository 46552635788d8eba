"""The file itself: private, ours or refused, upgraded once."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError

from batcher.domain.errors import ForeignStore, StoreError, StoreTooNew
from batcher.domain.states import AnswerMark
from batcher.store.schema import metadata
from batcher.store.sqlite import migrate
from batcher.store.sqlite.connections import LEAST_SQLITE, refuse_old_sqlite
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from tests.support.messages import words
from tests.support.stores import START, Row, completed, holder_of, open_store, stored, submit_rows, table

TOP = Path(__file__).parents[4]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


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
    assert str(path) in words(caught.value.message)
    assert words(caught.value.hint) == "name another file with --db"
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "batcher.db").touch()
    open_store(tmp_path).close()
    assert (tmp_path / "batcher.db").read_bytes().startswith(b"SQLite format 3")


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="is a folder"):
        Database(tmp_path)


def test_a_place_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"cannot make the store .*nowhere") as caught:
        Database(tmp_path / "nowhere" / "batcher.db")
    assert words(caught.value.hint) == "choose another place with --db"


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
    assert words(caught.value.hint) == "see `batcher db check`"


def test_a_broken_rule_is_not_told_as_a_broken_file(database):
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(text("INSERT INTO store VALUES (2, '', 0, '')"))


@pytest.mark.parametrize("left", [None, b"something else"])
def test_a_store_that_is_deleted_or_replaced_while_in_use_takes_nothing_more(tmp_path, left):
    database = open_store(tmp_path)
    database.path.unlink()
    if left is not None:
        database.path.write_bytes(left)
    for use in (database.read, database.write):
        with pytest.raises(StoreError, match="was deleted or replaced while it was in use"), use():
            pass
    database.close()
    assert (database.path.read_bytes() if database.path.exists() else None) == left


# --- the schema ---


def test_an_upgrade_is_needed_once_and_never_again(tmp_path):
    database = Database(tmp_path / "batcher.db")
    with pytest.raises(StoreError) as caught:
        migrate.require_current(database)
    assert words(caught.value.hint) == "run `batcher db upgrade`"
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
        assert named in words(caught.value.message)
        assert "schema 0999" in words(caught.value.message)
        assert str(database.path) in words(caught.value.message)


def pieces(sql: str) -> list[str]:
    """Columns and constraints in one order: a column that a migration adds stands behind the constraints."""
    head, _, inner = re.sub(r'[\s"]+', " ", sql).partition("(")
    body, _, tail = inner.rpartition(")")
    depth, parts = 0, [""]
    for letter in body:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [head.strip(), *sorted(part.strip() for part in parts), tail.strip()]


def schema_of(path: Path) -> dict[str, str]:
    """The SQL of every table and index, its spelling evened out."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {
        name: "; ".join(pieces(sql))
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


def take_back_arms(connection) -> None:
    """Take back the arms of the claim, which revision 0008 made."""
    for name in ("fresh", "returned"):
        connection.exec_driver_sql(f"DROP INDEX ix_requests_{name}")
    connection.exec_driver_sql("ALTER TABLE requests DROP COLUMN returned")
    connection.exec_driver_sql(
        "CREATE INDEX ix_requests_fresh ON requests (route_id, lost, id)"
        " WHERE state = 'pending' AND available_at IS NULL AND leader_id IS NULL AND lost < 3"
    )


def take_back_counts(connection) -> None:
    """Take back what revision 0009 made."""
    connection.exec_driver_sql("DROP TABLE job_counts")
    connection.exec_driver_sql("DROP INDEX ix_requests_in_flight")
    for name, column in (("claimed", "holder_id"), ("in_flight", "fingerprint")):
        connection.exec_driver_sql(
            f"CREATE INDEX ix_requests_{name} ON requests ({column}) WHERE state = 'claimed'"
        )


def take_back_columns(connection) -> None:
    """Take back the columns that revision 0008 made."""
    connection.exec_driver_sql("DROP TABLE changes")
    for of_usage in ("responses", "attempts"):
        for name in ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "tier_sent", "tier_billed"):
            connection.exec_driver_sql(f"ALTER TABLE {of_usage} DROP COLUMN {name}")
    for name in ("cost", "reserved", "assumed"):
        connection.exec_driver_sql(f"ALTER TABLE jobs DROP COLUMN {name}")
    connection.exec_driver_sql("ALTER TABLE endpoints DROP COLUMN cache_scope")
    connection.exec_driver_sql("ALTER TABLE cache RENAME COLUMN cache_scope TO endpoint_id")


def take_back_chunks(connection) -> None:
    """Take back what revisions 0009 to 0007 made."""
    take_back_counts(connection)
    take_back_arms(connection)
    take_back_columns(connection)
    for table_of_it in ("unshared_ends", "lane_views"):
        connection.exec_driver_sql(f"DROP TABLE {table_of_it}")
    connection.exec_driver_sql("ALTER TABLE endpoints DROP COLUMN answered")


@pytest.mark.parametrize("cached", [True, False])
def test_an_upgrade_finds_out_which_endpoints_have_answered(database, cached):
    """By what is cached; else by the jobs, of which a later row alone may be answered."""
    answered = submit_rows(database, [Row(name, shares=cached) for name in "abc"], name="answered")
    submit_rows(database, [Row("x")], name="silent", base_url="http://127.0.0.1:9/v1")
    holder = holder_of(database)
    holder.settle(completed(holder.claim(answered).claims[-1]))
    before = table(database, "endpoints")
    assert [each["answered"] for each in before] == [1, 0]
    with database.write() as connection:
        take_back_chunks(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
    migrate.upgrade(database, now=START)
    assert table(database, "endpoints") == before


def test_an_upgrade_marks_cached_answers_that_nobody_validated(database):
    """Jobs that are older than the setting validated nothing either."""
    asks = b'{"model": "m", "response_format": {"type": "json_object"}, "user": "%s"}'
    rows = {
        name: [Row("asks", asks % name), Row("plain", b'{"user": "%s"}' % name)] for name in (b"a", b"b", b"c")
    }
    checked = submit_rows(database, rows[b"a"], name="checked")
    lax = submit_rows(database, rows[b"b"], name="lax", validate_output=False)
    older = submit_rows(database, rows[b"c"], name="older")
    holder = holder_of(database)
    holder.settle(*map(completed, holder.claim(checked, lax, older).claims))
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET settings = json_remove(settings, '$.validate_output') WHERE id = 3"
        )
        take_back_chunks(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    migrate.upgrade(database, now=START)
    marked = {row["response_id"] for row in table(database, "cache") if row["marks"] == AnswerMark.UNVALIDATED}
    found = [stored(database, job)["asks"]["response_id"] for job in (lax, older)]
    assert (marked, len(table(database, "cache"))) == (set(found), 6)


# --- what SQLite must be able to do ---


def test_an_sqlite_that_is_too_old_is_named() -> None:
    refuse_old_sqlite(LEAST_SQLITE)
    refuse_old_sqlite(sqlite3.sqlite_version_info)
    with pytest.raises(StoreError, match=r"SQLite 3\.34\.1, and the store needs 3\.35\.0"):
        refuse_old_sqlite((3, 34, 1))


def test_a_store_that_cannot_be_in_wal_mode_is_refused(tmp_path, monkeypatch) -> None:
    """As on a file system without shared memory: SQLite keeps the old mode and reports no error."""
    real = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda _place, **options: real("file::memory:", **(options | {"uri": True}))
    )
    with pytest.raises(StoreError, match="WAL mode here \\(it stays in mode memory\\)"):
        Database(tmp_path / "batcher.db")
