"""What a deletion frees goes back to the disk, a few pages at a time, and only that."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from batcher.clock import SystemClock
from batcher.domain.errors import RunnerBusy
from batcher.services.jobs import manage
from batcher.services.store import maintain, reclaim
from batcher.store.sqlite import store_port
from batcher.store.sqlite.database import APPLICATION_ID, Database
from batcher.store.sqlite.file_locks import RunnerLock
from tests.support.stores import completed, holder_of, numbered, open_store, states, submit_rows
from tests.support.transactions import KilledError, Transactions, killed_before

BIG = b"x" * 20_000


def value(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())


def fill(database: Database, holder, count: int = 60):
    job = submit_rows(database, numbered(count))
    holder.settle(*[completed(each, BIG) for each in holder.claim(job).claims])
    return job


def make_old(path: Path) -> None:
    """As an earlier version made it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)


def test_a_new_store_can_give_back_what_is_freed(database):
    assert value(database, "auto_vacuum") == 2
    assert value(database, "application_id") == APPLICATION_ID


@pytest.mark.parametrize("kill_at", [None, 2, 4])
def test_a_deletion_gives_the_disk_back_in_steps_also_after_a_kill(database, holder, clock, monkeypatch, kill_at):
    monkeypatch.setattr(store_port, "_RECLAIMED_AT_ONCE", 50)
    before = value(database, "page_count")
    kept = fill(database, holder, 3)
    job, pages = fill_more(database, holder)
    transactions = Transactions(database, monkeypatch)
    if kill_at is not None:
        transactions.before = killed_before(kill_at)
        with pytest.raises(KilledError):
            manage.delete(database, job, clock=clock)
        transactions.before = killed_before(99)
        reclaim.reclaim(database) if kill_at > 2 else manage.delete(database, job, clock=clock)
    else:
        manage.delete(database, job, clock=clock)
    assert value(database, "freelist_count") == 0
    assert value(database, "page_count") < before + (pages - before) // 4
    assert set(states(database, kept).values()) == {"completed"}


def fill_more(database: Database, holder):
    job = submit_rows(database, [*numbered(60)], name="more")
    holder.settle(*[completed(each, BIG) for each in holder.claim(job).claims])
    return job, value(database, "page_count")


def test_an_old_store_goes_on_and_is_compacted_once(tmp_path, clock):
    database = open_store(tmp_path)
    database.close()
    make_old(database.path)
    database = Database(database.path)
    holder = holder_of(database)
    job = fill(database, holder)
    pages = value(database, "page_count")
    manage.delete(database, job, clock=clock)
    assert value(database, "auto_vacuum") == 0
    assert value(database, "page_count") >= pages
    assert value(database, "freelist_count") > pages // 2
    database.close()
    before, after = maintain.compact(str(database.path))
    assert after < before // 2
    database = Database(database.path)
    assert (value(database, "auto_vacuum"), value(database, "freelist_count")) == (2, 0)
    assert value(database, "application_id") == APPLICATION_ID
    again = fill(database, holder_of(database))
    manage.delete(database, again, clock=clock)
    assert value(database, "freelist_count") == 0
    database.close()


def test_a_store_is_not_compacted_beside_a_runner(database):
    lock = RunnerLock(database.path)
    lock.acquire()
    with pytest.raises(RunnerBusy, match="is using the store"):
        maintain.compact(str(database.path))
    lock.close()


def test_the_file_itself_is_smaller_once_the_store_is_closed(tmp_path):
    database = open_store(tmp_path)
    job = fill(database, holder_of(database))
    database.close()
    full = database.path.stat().st_size
    database = Database(database.path)
    manage.delete(database, job, clock=SystemClock())
    database.close()
    assert database.path.stat().st_size < full // 2


COMPACT_A_LARGE_STORE = """
import sys
from pathlib import Path
from batcher.store.sqlite import maintenance
from batcher.store.sqlite import store_port
from batcher.store.sqlite.database import Database

def most_memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

database = Database(Path(sys.argv[1]))
with database.write() as connection:
    connection.exec_driver_sql("CREATE TABLE large (content BLOB)")
for _ in range(100):
    with database.write() as connection:
        connection.exec_driver_sql("INSERT INTO large VALUES (randomblob(1048576))")
before = most_memory()
maintenance.compact(database)
print(most_memory() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_compacting_takes_memory_that_does_not_grow_with_the_store(tmp_path):
    folder = tmp_path / "it's here"
    folder.mkdir()
    command = [sys.executable, "-c", COMPACT_A_LARGE_STORE, str(folder / "large.db")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 70_000
    assert {each.name for each in folder.iterdir()} <= {f"large.db{end}" for end in ("", "-wal", "-shm", "-write")}
