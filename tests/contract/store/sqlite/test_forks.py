"""A process that forks while it has a store open: the child keeps no lock and touches nothing."""

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batcher.domain.errors import StoreError
from batcher.domain.ids import HolderId
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import LoadingLock, RunnerLock, SideLock, write_lock
from batcher.store.sqlite.in_flight_log import FileInFlightLog
from batcher.store.sqlite.read_only import ReadOnlyDatabase, open_for_reading
from batcher.store.sqlite.writer_thread import StoreThread
from tests.support.messages import words


def in_child(work: Callable[[], object]) -> int:
    """Call it in a forked child; return the child's pid while it lives on, or raise what it said."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = b"ok"
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - reported to the parent
            said = f"{type(error).__name__}: {error}".encode()
        os.write(writes, said)
        time.sleep(60)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        said = os.read(pipe.fileno(), 2_000)
    if said != b"ok":
        end(pid)
        raise AssertionError(said.decode())
    return pid


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@contextmanager
def child(work: Callable[[], object] = lambda: None) -> Iterator[None]:
    pid = in_child(work)
    try:
        yield
    finally:
        end(pid)


def is_free(path: Path) -> bool:
    with closing(SideLock(path)) as lock, lock.held_if_free() as held:
        return held


def test_every_lock_ends_with_the_parent(tmp_path) -> None:
    store = tmp_path / "batcher.db"
    runner, loading, writing = RunnerLock(store), LoadingLock(store), write_lock(store)
    runner.acquire()
    with loading.shared(), writing.held(), child():
        for lock in (runner._lock, loading, writing):
            assert not is_free(lock.path)
            os.close(lock._descriptor)
            assert is_free(lock.path)
            lock._descriptor = os.open(lock.path, os.O_RDWR)


def test_the_child_does_not_release_what_the_parent_holds(tmp_path) -> None:
    store = tmp_path / "batcher.db"
    runner, loading = RunnerLock(store), LoadingLock(store)
    runner.acquire()

    def close() -> None:
        runner.close()
        loading.close()

    with loading.shared(), child(close):
        assert not is_free(runner._lock.path)
        assert loading.path.exists()


def test_a_turn_that_comes_after_the_fork_is_not_shared(tmp_path) -> None:
    lock, other = SideLock(tmp_path / "lock"), SideLock(tmp_path / "lock")
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        with lock.held():
            entered.set()
            leave.wait(10)
            os.close(lock._descriptor)
            lock._descriptor = os.open(lock.path, os.O_RDWR)

    thread = threading.Thread(target=wait)
    with other.held():
        thread.start()
        time.sleep(0.2)
        pid = in_child(lambda: None)
    try:
        assert entered.wait(10)
        leave.set()
        thread.join(10)
        assert is_free(lock.path)
    finally:
        end(pid)


@pytest.mark.parametrize("kind", [Database, ReadOnlyDatabase])
def test_a_store_that_was_open_is_refused_in_the_child(database, tmp_path, kind) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database.path)
    opened = kind(database.path)

    def use() -> None:
        for path in (database.path, link):
            for work in (lambda: opened.read().__enter__(), lambda path=path: kind(path)):
                with pytest.raises(StoreError, match="open when this process was forked") as caught:
                    work()
                assert "spawn" in words(caught.value.hint)
        with pytest.raises(StoreError, match="forked"), database.write():
            pass
        opened.close()
        database.close()

    with child(use), database.write() as connection:
        connection.exec_driver_sql("UPDATE store SET program_version = 'after the fork'")


def test_another_store_or_one_that_was_closed_is_open_to_the_child(tmp_path) -> None:
    closed = tmp_path / "closed.db"
    Database(closed).close()

    def use() -> None:
        for path in (closed, tmp_path / "new.db"):
            with closing(Database(path)) as mine, mine.write() as connection:
                connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS mine (n)")
            open_for_reading(path).close()

    with child(use):
        assert (tmp_path / "new.db").exists()


def test_a_child_that_ends_in_order_leaves_the_log_of_the_parent(database) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE store SET program_version = 'in the log'")
    pid = os.fork()
    if pid == 0:
        database.close()
        del connection
        import gc

        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    assert database.path.with_name("batcher.db-wal").stat().st_size > 0
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT program_version FROM store").fetchone() == ("in the log",)


async def test_the_writer_and_the_log_of_flights_are_the_parents(database) -> None:
    writer = StoreThread(database)
    flights = FileInFlightLog(database.path, holder=HolderId(1), boot="b")

    def use() -> None:
        with pytest.raises(StoreError, match="forked"):
            writer.write(lambda _: None)
        writer.close()
        flights.remove_if_empty()

    with child(use):
        assert database.path.with_name("batcher.db-flights").exists()
        await writer.write(lambda _: None)
    writer.close()
    flights.remove_if_empty()
    assert not database.path.with_name("batcher.db-flights").exists()
