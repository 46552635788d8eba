"""The engines that the contract of the store is tested with: a second one is one more entry of `ENGINES`.

What only one engine can show (its files, its locks, its query plans) is tested in a folder of its own, as in
`tests/contract/store/sqlite`.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from batcher.ports import Store
from batcher.store.sqlite.database import Database
from tests.support.one_engine import one_engine
from tests.support.stores import open_store


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What the contract suite asks of an engine. A store is fresh, of the newest schema, with the lane `LANE`."""

    #: As SQLAlchemy has it.
    name: str
    #: Opens a store; the folder is the test's own.
    open: Callable[[Path], Store]
    #: The same for hundreds of stores in one test, of which one is open at a time: it need survive no crash.
    open_quickly: Callable[[Path], Store]
    #: Returns the rows that refer to a row that is not there.
    dangling: Callable[[Connection], list[Any]]
    #: Returns how many rows the connection has changed so far.
    changed: Callable[[Connection], int]


def engine_of(connection: Connection) -> Engine:
    return ENGINES[connection.dialect.name]


_template: list[Path] = []


def _sqlite_template() -> Path:
    """A migrated store to copy: migrating costs more than a whole example."""
    if not _template:
        folder = Path(tempfile.mkdtemp(prefix="batcher-template-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        open_store(folder).close()
        _template.append(folder / "batcher.db")
    return _template[0]


def _copy_of_sqlite(folder: Path) -> Store:
    shutil.copy(_sqlite_template(), folder / "batcher.db")
    with one_engine():
        database = Database(folder / "batcher.db")
    database._writer.exec_driver_sql("PRAGMA synchronous = OFF")
    return database


def _changed_by_sqlite(connection: Connection) -> int:
    driver: Any = connection.connection.dbapi_connection
    return int(driver.total_changes)


SQLITE = Engine(
    name="sqlite",
    open=open_store,
    open_quickly=_copy_of_sqlite,
    dangling=lambda connection: list(connection.execute(text("PRAGMA foreign_key_check"))),
    changed=_changed_by_sqlite,
)
ENGINES = {engine.name: engine for engine in (SQLITE,)}
