"""Counts what each write transaction changes: what it holds up the others by, without a clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from batcher.ports import Store
from tests.support.engines import engine_of


class Transactions:
    """The rows changed by each write transaction of a database since then."""

    def __init__(self, database: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.changes: list[int] = []
        #: Called before each one with its number, from 0.
        self.before = lambda _: None
        self._write = database.write
        monkeypatch.setattr(database, "write", self._counted)

    @contextmanager
    def _counted(self, **named: Any) -> Iterator[Connection]:
        self.before(len(self.changes))
        with self._write(**named) as connection:
            changed = engine_of(connection).changed
            began = changed(connection)
            yield connection
            self.changes.append(changed(connection) - began)


class KilledError(Exception):
    """The process ends here, between two transactions."""


def killed_before(number: int):
    """Ends the command before its transaction of that number."""

    def kill(at: int) -> None:
        if at == number:
            raise KilledError

    return kill
