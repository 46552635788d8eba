"""Processes and threads share a store: one runner, one writer at a time, readers that wait for none."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batcher.domain.errors import RunnerBusy, StoreError
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import LoadingLock, RunnerLock
from tests.support.messages import words
from tests.support.stores import Row, submit_rows, table

TOP = Path(__file__).parents[4]


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


RUN = """
import sys, time
from pathlib import Path
from batcher.domain.errors import RunnerBusy
from batcher.store.sqlite.file_locks import RunnerLock
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
from batcher.store.sqlite.database import Database
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
    assert "free some space" in words(caught.value.hint)
    assert name_of(database) == "before"


def test_the_loading_lock_removes_its_file_when_the_last_holder_leaves(tmp_path):
    store, file = tmp_path / "batcher.db", tmp_path / "batcher.db-loading"
    first, second = LoadingLock(store), LoadingLock(store)
    with second.shared():
        with first.shared():
            pass
        first.close()
        assert file.exists()
    second.close()
    assert not file.exists()


def test_a_loading_lock_on_a_removed_file_is_taken_on_the_new_one(tmp_path):
    store = tmp_path / "batcher.db"
    early, other = LoadingLock(store), LoadingLock(store)
    other.close()
    late = LoadingLock(store)
    with early.shared(), late.held_if_free() as alone:
        assert not alone
    with early.held_if_free() as alone:
        assert alone
    early.close()
    late.close()
    assert not (tmp_path / "batcher.db-loading").exists()


def test_who_waits_for_a_loading_lock_gets_it_on_the_new_file(tmp_path):
    store = tmp_path / "batcher.db"
    holder, waiter = LoadingLock(store), LoadingLock(store)
    taken, leave = threading.Event(), threading.Event()

    def wait() -> None:
        with waiter.shared():
            taken.set()
            leave.wait(10)
        waiter.close()

    with holder.held():
        thread = threading.Thread(target=wait)
        thread.start()
        assert not taken.wait(0.2)
        holder.path.unlink()
    assert taken.wait(10)
    probe = LoadingLock(store)
    with probe.held_if_free() as alone:
        assert not alone
    leave.set()
    thread.join()
    probe.close()
    holder.close()
