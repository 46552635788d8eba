"""A process that keeps the lock of writers: others wait with a word, and not for ever; readers do not wait."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batcher.domain.errors import StoreError
from batcher.processes import is_stopped
from batcher.store.sqlite import connections, lock_wait
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import LoadingLock, SideLock, write_lock
from batcher.store.sqlite.read_only import ReadOnlyDatabase
from tests.support.commands import batcher, job_file, line
from tests.support.messages import words

HOLD = """
import sys
from pathlib import Path
from batcher.store.sqlite.file_locks import SideLock
with SideLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holding(lock: Path, *, stopped: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until it is sent a line, or for ever where it is stopped."""
    command = [sys.executable, "-c", HOLD, os.fspath(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            if stopped:
                process.send_signal(signal.SIGSTOP)
                while not is_stopped(process.pid):
                    time.sleep(0.005)
            yield process
        finally:
            process.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_wait, "WORD_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(lock_wait, "GIVE_UP_AFTER_SECONDS", 0.3)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[SideLock]:
    lock = SideLock(tmp_path / "lock")
    yield lock
    lock.close()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("stopped", [True, False])
def test_who_waits_is_told_the_pid_and_what_to_do_and_gives_up_in_the_end(lock, caplog, stopped):
    with holding(lock.path, stopped=stopped) as other:
        with pytest.raises(StoreError) as caught, lock.held():
            pass
        assert f"pid {other.pid}" in caplog.text
        assert f"pid {other.pid}" in words(caught.value.message)
        assert (
            ("which is stopped" in caplog.text) == ("which is stopped" in words(caught.value.message)) == stopped
        )
        assert caught.value.hint is not None
        assert (f"`kill -CONT {other.pid}`" in words(caught.value.hint)) == stopped
        assert f"`kill -KILL {other.pid}`" in words(caught.value.hint)


@pytest.mark.usefixtures("impatient")
def test_a_place_that_was_given_up_frees_the_lock_when_its_turn_comes(lock):
    with holding(lock.path), pytest.raises(StoreError), lock.held():
        pass
    for thread in threading.enumerate():
        if thread.name == "batcher-lock":
            thread.join(10)
            assert not thread.is_alive()
    assert not lock.is_held_elsewhere()


def test_the_lock_comes_as_soon_as_the_other_lets_go_of_it(lock):
    with holding(lock.path) as other:
        assert other.stdin is not None
        threading.Timer(0.2, other.stdin.close).start()
        with lock.held():
            assert lock.pid() == os.getpid()
            other.wait(10)


@pytest.mark.usefixtures("impatient")
def test_where_no_pid_was_left_it_says_how_to_find_the_holder(lock, caplog):
    with holding(lock.path):
        lock.write_note("")
        with pytest.raises(StoreError, match="another process has"), lock.held():
            pass
    assert f"fuser {lock.path}" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_who_loads_a_job_waits_no_longer_than_who_writes(database):
    theirs = LoadingLock(database.path)
    with holding(theirs.path), pytest.raises(StoreError, match="has been writing"), theirs.shared():
        pass
    theirs.close()


@pytest.mark.usefixtures("impatient")
def test_a_store_is_opened_read_and_closed_while_a_stopped_process_is_writing(database):
    with holding(write_lock(database.path).path, stopped=True):
        beside = Database(database.path)
        with beside.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one() == 0
        beside.close()


def test_commands_that_look_answer_while_a_stopped_process_is_writing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert batcher("run", job_file(Path("j.jsonl"), line("a"), line("b")), "--simulate", "-q").code == 0
    with holding(Path("batcher.db-write"), stopped=True):
        for command in (
            ("status",),
            ("status", 1, "--json"),
            ("results", 1, "-o", "-"),
            ("results", 1, "--partial", "-o", "again.jsonl"),
            ("dlq", "list"),
            ("dlq", "summary", "--json"),
            ("cache", "stats"),
            ("db", "check"),
            ("db", "backup", "copy.db"),
        ):
            called = batcher(*command)
            assert called.code == 0, (command, called.err)
            assert called.err == "" or "waiting" not in called.err


@pytest.mark.parametrize("stopped", [True, False])
def test_a_runner_waits_as_long_as_the_holder_lives_and_says_so_again(database, monkeypatch, caplog, stopped):
    monkeypatch.setattr(lock_wait, "WORD_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(lock_wait, "GIVE_UP_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(lock_wait, "REPEAT_AFTER_SECONDS", 0.05)
    database.is_patient = True
    with holding(write_lock(database.path).path, stopped=stopped) as other:

        def is_said_thrice() -> bool:
            return str(caplog.text).count(f"pid {other.pid}") >= 3

        def release() -> None:
            while not is_said_thrice():
                time.sleep(0.01)
            other.kill()

        ending = threading.Thread(target=release)
        ending.start()
        with database.write() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one() == 0
        ending.join()
    assert is_said_thrice()


@pytest.mark.usefixtures("impatient")
def test_a_holder_that_left_no_note_of_its_own_is_not_named_by_the_note_of_another(lock, caplog):
    with lock.held():
        pass
    assert lock.pid() == os.getpid()
    command = ["flock", "-x", lock.path, "sh", "-c", "echo held; exec sleep 60"]
    flock = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert flock.stdout is not None
        assert flock.stdout.readline() == b"held\n"
        with pytest.raises(StoreError), lock.held():
            pass
    finally:
        os.killpg(flock.pid, signal.SIGKILL)
        flock.communicate()
    assert str(os.getpid()) not in caplog.text
    assert f"pid {flock.pid}" in caplog.text or "another process is" in caplog.text


def test_a_lock_of_another_program_is_waited_for_and_named(database, monkeypatch):
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another program") as caught, database.write():
            pass
    assert caught.value.hint is not None
    assert f"fuser {database.path}" in words(caught.value.hint)


def test_a_wait_can_be_ended_from_another_thread_and_later_ones_are_refused_at_once(database):
    with holding(write_lock(database.path).path) as other:
        threading.Timer(0.2, database.wait, [False]).start()
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(StoreError, match=f"stopped while waiting.*pid {other.pid}"), database.write():
                pass
        assert time.monotonic() - began < 4
        database.wait(True)
        assert other.stdin is not None
        threading.Timer(0.2, other.stdin.close).start()
        with database.write():
            pass


def test_a_wait_for_another_program_ends_too(database, monkeypatch):
    """It holds a lock of SQLite's, for which SQLite itself would wait without hearing anything."""
    with closing(sqlite3.connect(database.path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, database.wait, [False]).start()
        began = time.monotonic()
        with pytest.raises(StoreError, match="locked"), database.write():
            pass
        assert 0.2 < time.monotonic() - began < 4
        database.wait(True)
        monkeypatch.setattr(connections, "BUSY_SECONDS", 0.3)
        with pytest.raises(StoreError, match="locked"), database.write():
            pass
        foreign.execute("ROLLBACK")
    with database.write():
        pass


@pytest.mark.parametrize("kind", [Database, ReadOnlyDatabase])
def test_a_store_that_another_process_is_just_closing_is_opened_after_that(database, kind):
    """The last connection to close has the file for itself until its log is in the file."""
    path = database.path
    database.close()
    closing_process = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    closing_process.execute("PRAGMA locking_mode = EXCLUSIVE")
    closing_process.execute("BEGIN EXCLUSIVE")
    threading.Timer(1.0, closing_process.close).start()
    with closing(kind(path)) as opened, opened.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar_one() == 0
