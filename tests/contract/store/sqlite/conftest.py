"""What SQLite alone can show is tested with SQLite alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.store.sqlite.database import Database
from tests.support.stores import open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()
