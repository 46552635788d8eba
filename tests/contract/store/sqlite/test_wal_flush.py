"""A slow disk: what is told is on disk, though several groups are flushed at a time and the next is written."""

import asyncio
import errno
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from batcher.domain.errors import StoreError
from batcher.store.sqlite import connections, wal_flush
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.read_only import ReadOnlyDatabase
from batcher.store.sqlite.wal_flush import DiskPace, LogFile
from batcher.store.sqlite.writer_thread import StoreThread

SLOW, QUICK, BETWEEN = 0.01, 0.0005, 0.002


@pytest.mark.parametrize(
    ("seconds", "is_slow"),
    [
        ([], False),
        ([SLOW] * 7, False),
        ([SLOW] * 8, True),
        ([SLOW] * 7 + [QUICK], False),
        ([QUICK] * 100 + [SLOW] * 8, True),
        ([BETWEEN] * 20, False),
        ([SLOW] * 8 + [BETWEEN] * 20, True),
        ([SLOW] * 8 + [QUICK] * 7, True),
        ([SLOW] * 8 + [QUICK] * 8, False),
    ],
)
def test_a_disk_is_slow_or_quick_when_eight_in_a_row_say_so(seconds: list[float], is_slow: bool):
    pace = DiskPace()
    for each in seconds:
        pace.add(each)
    assert pace.is_slow is is_slow


class Disk:
    """Stands before `LogFile.flush`: keeps what a power cut would leave, and may hold a flush or fail."""

    def __init__(self, store: Path, kept: Path) -> None:
        self._store, self._kept = store, kept
        self._flush = LogFile.flush
        self._lock = threading.Lock()
        self.began = self.failed = 0
        self.fails = False
        self.gate = threading.Event()
        self.gate.set()

    def flush(self, log: LogFile) -> None:
        """Of what was in the log when it began all is on disk when it ends."""
        with self._lock:
            self.began += 1
            image = self._kept / str(self.began)
            image.mkdir()
            for ending in ("", "-wal"):
                shutil.copyfile(f"{self._store}{ending}", image / f"left.db{ending}")
        assert self.gate.wait(10)
        if self.fails:
            self.failed += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._flush(log)
        with self._lock:
            (image / "done").touch()

    def on_disk(self) -> set[int]:
        """Rows that a power cut now leaves for certain: those of any flush that has ended."""
        found: set[int] = set()
        for image in [each.parent for each in self._kept.glob("*/done")]:
            copy = image.with_name(f"{image.name}-opened")
            shutil.copytree(image, copy)
            with closing(sqlite3.connect(copy / "left.db")) as connection:
                found |= {row for (row,) in connection.execute("SELECT n FROM numbers")}
            shutil.rmtree(copy)
        return found


def _through(log: LogFile, disk: Disk) -> None:
    disk.flush(log)


@pytest.fixture
def disk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk that counts as slow for good."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    kept = tmp_path / "kept"
    kept.mkdir()
    made = Disk(database.path, kept)
    monkeypatch.setattr(wal_flush, "_SLOW_SECONDS", -1.0)
    monkeypatch.setattr(wal_flush, "_QUICK_SECONDS", -1.0)
    monkeypatch.setattr(LogFile, "flush", partialmethod(_through, made))
    yield made
    made.gate.set()


@pytest.fixture
def writer(database: Database, disk: Disk) -> Iterator[StoreThread]:  # noqa: ARG001 - before the thread begins
    made = StoreThread(database)
    yield made
    made.close()


def enter(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
        return number

    return work


async def until_slow(writer: StoreThread) -> None:
    for number in range(-8, 0):
        await writer.write(enter(number))
    while writer.pipeline_depth == 1:
        await asyncio.sleep(0.001)


async def test_what_is_told_survives_a_power_cut(writer: StoreThread, disk: Disk):
    await until_slow(writer)
    told: set[int] = set()

    async def one(number: int) -> None:
        told.add(await writer.write(enter(number)))
        assert told <= disk.on_disk()

    async with asyncio.TaskGroup() as tasks:
        for number in range(1, 25):
            tasks.create_task(one(number))
            await asyncio.sleep(0.001)
    assert told == set(range(1, 25))


async def test_the_next_groups_are_written_while_one_is_flushed_and_told_in_their_order(
    writer: StoreThread, disk: Disk, database: Database
):
    await until_slow(writer)
    before = disk.began
    disk.gate.clear()
    order: list[int] = []
    given = []
    for number in (1, 2, 3):
        done = asyncio.ensure_future(writer.write(enter(number)))
        done.add_done_callback(lambda each: order.append(each.result()))
        given.append(done)
        while disk.began == before + number - 1:
            await asyncio.sleep(0.001)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM numbers WHERE n > 0")).scalar() == 3
    assert order == []
    disk.gate.set()
    await asyncio.wait(given)
    assert order == [1, 2, 3]


async def test_a_disk_that_gets_quick_is_flushed_by_its_commits_again(
    writer: StoreThread, disk: Disk, monkeypatch: pytest.MonkeyPatch
):
    await until_slow(writer)
    monkeypatch.setattr(wal_flush, "_SLOW_SECONDS", 60.0)
    monkeypatch.setattr(wal_flush, "_QUICK_SECONDS", 60.0)
    number = 0
    while writer.pipeline_depth > 1:
        number += 1
        assert await writer.write(enter(number)) == number
    flushes = disk.began
    assert await writer.write(enter(1000)) == 1000
    assert disk.began == flushes


async def test_a_failed_flush_is_told_to_all_that_came_after_and_mended_before_the_next(
    writer: StoreThread, disk: Disk, database: Database, tmp_path: Path
):
    await until_slow(writer)
    disk.gate.clear()
    disk.fails = True
    lost = [asyncio.ensure_future(writer.write(enter(1)))]
    while disk.began == 0:
        await asyncio.sleep(0.001)
    lost.append(asyncio.ensure_future(writer.write(enter(2))))
    await asyncio.sleep(0.05)
    disk.gate.set()
    await asyncio.wait(lost)
    assert disk.failed
    assert all(isinstance(each.exception(), StoreError) for each in lost)
    disk.fails = False
    await writer.write(enter(3))
    # The log begins anew: a hole in it cannot hide what came later, and all of before is in the file itself.
    shutil.copyfile(database.path, tmp_path / "alone.db")
    with closing(sqlite3.connect(tmp_path / "alone.db")) as connection:
        assert {1, 2} <= {row for (row,) in connection.execute("SELECT n FROM numbers")}
    assert 3 in disk.on_disk()


async def test_while_somebody_reads_an_old_state_a_failed_flush_cannot_be_mended(
    writer: StoreThread, disk: Disk, database: Database, monkeypatch: pytest.MonkeyPatch
):
    await until_slow(writer)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.0)
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM numbers")).scalar()
        disk.fails = True
        with pytest.raises(StoreError, match="Input/output error"):
            await writer.write(enter(1))
        disk.fails = False
        with pytest.raises(StoreError, match="cannot be repaired while others read"):
            await writer.write(enter(2))
    assert await writer.write(enter(3)) == 3


async def test_other_writes_of_the_process_are_flushed_before_they_return(
    writer: StoreThread, disk: Disk, database: Database
):
    await until_slow(writer)
    with database.write() as connection:
        enter(1)(connection)
    assert 1 in disk.on_disk()


async def test_closing_flushes_what_is_under_way_and_goes_back_to_flushing_by_commits(
    disk: Disk, database: Database
):
    writer = StoreThread(database)
    await until_slow(writer)
    given: list[Any] = [asyncio.ensure_future(writer.write(enter(number))) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    await asyncio.to_thread(writer.close)
    assert [await each for each in given] == [1, 2, 3]
    assert {1, 2, 3} <= disk.on_disk()
    assert database._writer.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_log_that_sqlite_made_anew_is_the_one_that_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = tmp_path / "any.db"
    log = LogFile(store)
    flushed: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    for _ in range(2):
        Path(f"{store}-wal").write_bytes(b"")
        inode = Path(f"{store}-wal").stat().st_ino
        log.flush()
        log.flush()
        assert flushed[-2:] == [inode, inode]
        Path(f"{store}-wal").unlink()
    log.close()


@pytest.fixture
def none_left(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, the log cannot be opened: connections have taken all descriptors."""
    opened = os.open

    def open_(path: str | Path, *rest: int) -> int:
        if str(path).endswith("-wal"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return opened(path, *rest)

    return lambda: monkeypatch.setattr(os, "open", open_)


async def test_a_flush_needs_no_descriptor_that_connections_may_have_taken(
    writer: StoreThread, none_left: Callable[[], None]
):
    await until_slow(writer)
    none_left()
    assert await asyncio.gather(*(writer.write(enter(number)) for number in range(20))) == list(range(20))


async def test_without_a_descriptor_to_spare_commits_go_on_flushing_by_themselves(
    writer: StoreThread, database: Database, none_left: Callable[[], None]
):
    none_left()
    for number in range(20):
        assert await writer.write(enter(number)) == number
    assert writer.pipeline_depth == 1
    assert database._writer.exec_driver_sql("PRAGMA synchronous").scalar() == 2


# --- other processes ---


def alone(path: Path, copy: Path) -> set[int]:
    """The rows of the store's file without its log."""
    shutil.copyfile(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        return {row for (row,) in connection.execute("SELECT n FROM numbers")}


async def test_a_failed_flush_is_repaired_by_any_process_before_it_writes(
    writer: StoreThread, disk: Disk, database: Database, tmp_path: Path
):
    await until_slow(writer)
    with closing(Database(database.path)) as other:
        disk.fails = True
        with pytest.raises(StoreError, match="Input/output error"):
            await writer.write(enter(1))
        disk.fails = False
        for number in (2, 3):
            with other.write() as connection:
                connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
            assert (1 in alone(database.path, tmp_path / f"{number}.db"), other._lock.is_marked) == (True, False)
    assert await writer.write(enter(4)) == 4


async def test_it_is_known_to_a_process_that_starts_later(
    writer: StoreThread, disk: Disk, database: Database, tmp_path: Path
):
    await until_slow(writer)
    disk.fails = True
    with pytest.raises(StoreError, match="Input/output error"):
        await writer.write(enter(1))
    with closing(Database(database.path)) as later, later.read(flushed=True):
        assert 1 in alone(database.path, tmp_path / "alone.db")


def test_a_commit_whose_flush_failed_is_repaired_before_the_next(database: Database, monkeypatch):
    with database.write() as connection:
        connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))
    repaired: list[str] = []
    execute = Connection.exec_driver_sql

    def failing(connection: Connection, statement: str, *rest: Any) -> Any:
        if statement == "COMMIT" and not repaired:
            repaired.append("")
            raise OperationalError(statement, None, sqlite3.OperationalError("disk I/O error"))
        if "wal_checkpoint" in statement:
            repaired.append(statement)
        return execute(connection, statement, *rest)

    monkeypatch.setattr(Connection, "exec_driver_sql", failing)
    for number, fails in ((1, True), (2, False), (3, False)):
        with pytest.raises(StoreError, match="I/O") if fails else nullcontext(), database.write() as connection:
            connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
    assert repaired == ["", "PRAGMA wal_checkpoint(RESTART)"]
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM numbers")).scalars().all() == [2, 3]


@pytest.mark.parametrize("kind", [Database, ReadOnlyDatabase])
async def test_what_is_exported_is_on_disk_first(
    writer: StoreThread, disk: Disk, database: Database, monkeypatch, kind: type[Database]
):
    await until_slow(writer)
    synced: list[str] = []
    sync = wal_flush._sync

    def noted(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(wal_flush, "_sync", noted)
    disk.gate.clear()
    told = asyncio.ensure_future(writer.write(enter(1)))
    await asyncio.sleep(0.1)
    with closing(kind(database.path)) as other:
        with other.read() as connection:
            assert 1 in connection.execute(text("SELECT n FROM numbers")).scalars().all()
        assert synced == []
        with other.read(flushed=True) as connection:
            assert synced == ["batcher.db-wal"]
            assert 1 in connection.execute(text("SELECT n FROM numbers")).scalars().all()

        def broken(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(wal_flush, "_sync", broken)
        with pytest.raises(StoreError, match="Input/output error"), other.read(flushed=True):
            pass
    monkeypatch.setattr(wal_flush, "_sync", sync)
    disk.gate.set()
    with suppress(StoreError):
        await told
