"""The stores that contract tests work on: the real SQLite, in a folder of the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.store.engine import Database
from tests.support.stores import Holder, ManualClock, holder_of, open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def holder(database: Database, clock: ManualClock) -> Holder:
    return holder_of(database, clock)
