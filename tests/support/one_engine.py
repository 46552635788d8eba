"""One engine for many stores in turn: compiling all statements for each would take longer than the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from unittest import mock

from sqlalchemy import Engine

from batcher.store.sqlite import connections, database


class _Wherever:
    """The path of the currently open store."""

    now = Path()

    def __fspath__(self) -> str:
        return str(self.now)


_wherever = _Wherever()
_engine = connections.make_engine(cast("Path", _wherever))


def _for_store(path: Path, _parameters: str | None = None) -> Engine:
    _wherever.now = path
    return _engine


@contextmanager
def one_engine() -> Iterator[None]:
    """Let stores that are opened inside share one engine. Only one file may be open at a time."""
    with mock.patch.object(database, "make_engine", _for_store):
        yield
