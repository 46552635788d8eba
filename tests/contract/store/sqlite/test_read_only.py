"""Looking at a store that cannot be written: beside a writer, on a full disk, beside files of another user."""

import errno
import os
import pwd
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from batcher.domain.errors import ForeignStore, StoreError
from batcher.store.sqlite import connections, file_locks, lock_wait
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.read_only import ReadOnlyDatabase, open_for_reading
from tests.support.messages import words
from tests.support.stores import open_store


def version(opened: Database) -> object:
    with opened.read() as connection:
        return connection.exec_driver_sql("SELECT program_version FROM store").scalar()


def say(opened: Database, text: str) -> None:
    with opened.write() as connection:
        connection.exec_driver_sql("UPDATE store SET program_version = ?", (text,))


def change(path: Path, text: str) -> None:
    with closing(Database(path)) as writer:
        say(writer, text)


def overwrite(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that was closed."""
    open_store(tmp_path).close()
    return tmp_path / "batcher.db"


def killed(path: Path) -> Path:
    """A copy of the store with a log, as after SIGKILL, and without the index of the log."""
    with closing(Database(path)) as writer:
        say(writer, "in the log")
        (path.parent / "copy").mkdir()
        for ending in ("", "-wal"):
            (path.parent / "copy" / f"batcher.db{ending}").write_bytes(Path(f"{path}{ending}").read_bytes())
    return path.parent / "copy" / "batcher.db"


# --- a writer that starts meanwhile ---


def test_each_read_sees_the_store_as_it_is_then(path: Path) -> None:
    with closing(ReadOnlyDatabase(path)) as looking, closing(Database(path)) as writer:
        for text in ("one", "two"):
            say(writer, text)
            assert version(looking) == text
        writer.close()
        assert version(looking) == "two"
        with closing(Database(path)) as other:
            say(other, "three")
            assert version(looking) == "three"


def test_a_store_that_changes_while_it_is_read_without_its_log_is_not_believed(path: Path) -> None:
    with closing(ReadOnlyDatabase(path)) as looking:
        with pytest.raises(StoreError, match="was changed by another process") as caught, looking.read():
            change(path, "in between")
        assert words(caught.value.hint) == "run the command again"
        assert version(looking) == "in between"


def test_nonsense_that_was_read_then_is_no_damage(path: Path) -> None:
    with closing(ReadOnlyDatabase(path)) as looking:
        content = path.read_bytes()
        with pytest.raises(StoreError, match="was changed by another process"), looking.read() as connection:  # noqa: PT012
            overwrite(path, content[:4096] + b"x" * (len(content) - 4096))
            connection.exec_driver_sql("SELECT * FROM lanes").all()


def test_a_writer_that_has_written_nothing_yet_changes_nothing(path: Path) -> None:
    with closing(ReadOnlyDatabase(path)) as looking, looking.read(), closing(Database(path)):
        pass


# --- files beside the store that cannot be written ---


def refuse_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let no lock file be opened, though the store and its folder look writable."""

    def refused(path: Path) -> int:
        error = OSError(number, os.strerror(number))
        hint = lock_wait.FREE_SOME if number == errno.ENOSPC else lock_wait.WRITABLE
        raise StoreError(f"cannot open {path}: {error.strerror}", hint=hint) from error

    monkeypatch.setattr(file_locks, "open_side_file", refused)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_it_can_be_read_and_says_what_is_wrong_when_it_is_written(
    path: Path, state: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if state == "killed":
        path = killed(path)
    refuse_locks(monkeypatch, number)
    with closing(open_for_reading(path)) as looking:
        assert looking.is_read_only
        assert (version(looking) == "in the log") == (state == "killed")
        with pytest.raises(StoreError, match=os.strerror(number)) as caught, looking.write():
            pass
    assert ("free some space" in words(caught.value.hint)) == (number == errno.ENOSPC)


def test_a_foreign_file_stays_one(tmp_path: Path, monkeypatch) -> None:
    refuse_locks(monkeypatch, errno.ENOSPC)
    (tmp_path / "other.db").write_bytes(b"notes " * 999)
    with pytest.raises(ForeignStore):
        open_for_reading(tmp_path / "other.db")


def test_a_lock_of_another_program_is_no_reason_to_read_without_the_log(path: Path, monkeypatch) -> None:
    def locked(_: Path) -> Database:
        raise connections.locked(path, "waited 30 s")

    monkeypatch.setattr("batcher.store.sqlite.read_only.Database", locked)
    with pytest.raises(StoreError, match="locked by another program"):
        open_for_reading(path)


@pytest.mark.parametrize(("free", "inodes", "full"), [(1 << 30, 5, False), (4096, 5, True), (1 << 30, 0, True)])
def test_a_full_disk_is_named(path: Path, monkeypatch, free: int, inodes: int, full: bool) -> None:
    class Disk:
        f_bavail, f_frsize, f_files, f_favail = free // 4096, 4096, 100, inodes

    monkeypatch.setattr(os, "statvfs", lambda _: Disk())
    assert connections.is_full(path.parent) == full


def test_a_disk_that_counts_no_inodes_is_not_full(path: Path, monkeypatch) -> None:
    """As btrfs."""

    class Disk:
        f_bavail, f_frsize, f_files, f_favail = 1 << 20, 4096, 0, 0

    monkeypatch.setattr(os, "statvfs", lambda _: Disk())
    assert not connections.is_full(path.parent)


@pytest.mark.parametrize("owner", [0, 3_999_999])
def test_a_store_that_only_another_user_may_read_names_them(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: int
) -> None:
    found = os.stat_result([0o600, 0, 0, 1, owner, owner, 0, 0, 0, 0])
    name = pwd.getpwuid(0).pw_name if owner == 0 else "user 3999999"
    monkeypatch.setattr(Path, "stat", lambda *_, **__: found)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError) as caught, connections.storage_errors(path):
        raise OperationalError("PRAGMA application_id", None, Exception("unable to open database file"))
    assert words(caught.value.hint) == f"run the command as {name}, or choose another place with --db"
