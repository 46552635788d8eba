"""A store that two processes open at once is made by one of them; the other waits."""

import threading

import pytest

from batcher.domain.errors import StoreError
from batcher.services.store import open_store
from batcher.store.sqlite import migrate
from batcher.store.sqlite.database import Database
from batcher.store.sqlite.file_locks import RunnerLock
from tests.support.stores import START, ManualClock


def test_who_comes_second_waits_until_the_store_is_made(tmp_path):
    path = tmp_path / "batcher.db"
    first = Database(path)
    lock = RunnerLock(path)
    lock.acquire()

    def make() -> None:
        migrate.upgrade(first, now=START)
        lock.close()

    maker = threading.Timer(0.3, make)
    maker.start()
    with open_store.open_or_create(str(path), ManualClock()) as second:
        assert second.is_current()
    maker.join()
    first.close()


def test_a_runner_that_stays_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(open_store, "_UPGRADE_SECONDS", 0.1)
    lock = RunnerLock(tmp_path / "batcher.db")
    lock.acquire()
    with (
        pytest.raises(StoreError, match="must be upgraded, but a runner"),
        open_store.open_or_create(str(tmp_path / "batcher.db"), ManualClock()),
    ):
        pass
    lock.close()
