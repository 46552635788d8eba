from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.virtual_time import virtual_loops as pytest_asyncio_loop_factories
from tests.support.workers import Rig, open_rig

__all__ = ["pytest_asyncio_loop_factories"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    opened = open_rig(tmp_path)
    yield opened
    opened.database.close()
