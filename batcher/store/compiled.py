"""Statements built in Core, compiled once, and run on the driver's own cursor with tuples.

Measured per row in groups of 200: ordinary Core costs 40 to 47 µs; compiled once and run through SQLAlchemy, 16.
What remains of SQLAlchemy costs 20 µs per statement, and a runner settles in small batches; hence the cursor.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import CompoundSelect, Connection, Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.selectable import SelectBase

from batcher.store.dialect import RowsAsJson

#: Rows per INSERT, largest first. There are few sizes, so that the driver keeps each one prepared.
_BULKS = (64, 32, 16, 8, 4, 2, 1)


def _arranger(order: list[int], given: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
    """Return how to bring given values into the statement's order; None if they already are."""
    if order == list(range(given)):
        return None
    if len(order) <= 1:
        # An engine may need none of the values.
        return lambda row: tuple(row[place] for place in order)
    return itemgetter(*order)


def _row_type(statement: ClauseElement) -> Callable[[tuple[Any, ...]], Any]:
    """Return the row type: the names of the selected columns."""
    if not isinstance(statement, SelectBase):
        return tuple
    names = [str(name) for name in statement.selected_columns.keys()]  # noqa: SIM118 - a collection, not a dict
    made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc] # noqa: PYI024 - the statement's own names
    make: Callable[[tuple[Any, ...]], Any] = made._make
    return make


class _EngineText:
    """A statement for one engine: its SQL, and how given values come into the order of its parameters."""

    def __init__(self, statement: ClauseElement, names: Sequence[str], connection: Connection) -> None:
        compiled = statement.compile(dialect=connection.dialect)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        self.sql = str(compiled)
        #: Values that the dialect adds: SQLite's LIMIT comes with an OFFSET of 0.
        own = [
            name for name in compiled.positiontup or () if name not in names and compiled.params[name] is not None
        ]
        self.own = tuple(compiled.params[name] for name in own)
        known = [*names, *own]
        order = [known.index(name) for name in compiled.positiontup or ()]
        self.arrange = _arranger(order, len(names))

    def arranged(self, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Bring the values of each row into the order of the parameters."""
        arrange, own = self.arrange, self.own
        return list(rows) if arrange is None else [arrange(row + own) for row in rows]


class Compiled:
    """One statement, compiled once for each engine: its SQL text and the order of its parameters.

    `names` are the bind parameters in the order in which callers give values.
    """

    def __init__(self, statement: Executable, *names: str) -> None:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - for the type checker: every Executable here is
        self._statement = statement
        self._names = names
        #: By the engine's name. Two threads may compile the same text, and either may stay.
        self._texts: dict[str, _EngineText] = {}
        self._row = _row_type(statement)

    def _text(self, connection: Connection) -> _EngineText:
        text = self._texts.get(connection.dialect.name)
        if text is None:
            text = _EngineText(self._statement, self._names, connection)
            self._texts[connection.dialect.name] = text
        return text

    def sql(self, connection: Connection) -> str:
        """Return the statement in the words of the connection's engine."""
        return self._text(connection).sql

    def each(self, connection: Connection, *values: Any) -> Iterator[Any]:  # noqa: ANN401 - bind values
        """Yield the selected rows as named tuples, one row in memory at a time."""
        try:
            yield from map(self._row, self._execute(connection, values))
        except _driver_error(connection) as error:
            raise _wrapped(connection, self.sql(connection), error) from error

    def rows(self, connection: Connection, *values: Any) -> list[Any]:  # noqa: ANN401 - bind values
        """Return the selected rows at once."""
        return list(self.each(connection, *values))

    def column(self, connection: Connection, *values: Any) -> list[Any]:  # noqa: ANN401 - bind values
        """Return the only column of the selected rows."""
        return [value for (value,) in self.each(connection, *values)]

    def scalar(self, connection: Connection, *values: Any) -> Any:  # noqa: ANN401 - bind values, one value
        """Return the only column of the first row; None if there is no row."""
        found = self._execute(connection, values).fetchone()
        return None if found is None else found[0]

    def run(self, connection: Connection, *values: Any) -> int:  # noqa: ANN401 - bind values
        """Execute once; return how many rows of the table changed."""
        return int(self._execute(connection, values).rowcount)

    def many(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Execute for every row; return how many rows of the table changed."""
        text = self._text(connection)
        arranged = text.arranged(rows)
        if not arranged:
            return 0
        cursor = _cursor(connection)
        try:
            cursor.executemany(text.sql, arranged)
        except _driver_error(connection) as error:
            raise _wrapped(connection, text.sql, error) from error
        return int(cursor.rowcount)

    def _execute(self, connection: Connection, values: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the driver's cursor
        text = self._text(connection)
        arranged = values if text.arrange is None else text.arrange(values + text.own)
        cursor = _cursor(connection)
        try:
            cursor.execute(text.sql, arranged)
        except _driver_error(connection) as error:
            raise _wrapped(connection, text.sql, error) from error
        return cursor


def as_json_rows(statement: Select[Any] | CompoundSelect[Any]) -> Select[Any]:
    """Select the rows of a statement as one JSON text: a list of lists."""
    inner = statement.subquery()
    return select(RowsAsJson(*inner.c))


class CompiledJson(Compiled):
    """A SELECT whose rows are fetched as one JSON text; none of its columns may be a BLOB.

    The driver releases the interpreter for every row that it fetches. While the event loop is busy, the store's
    thread gets its next turn after a tenth of a millisecond at best: a commit took as long as 60 requests.
    """

    def __init__(self, statement: Select[Any] | CompoundSelect[Any], *names: str) -> None:
        super().__init__(as_json_rows(statement), *names)
        self._row = _row_type(statement)

    def rows(self, connection: Connection, *values: Any) -> list[Any]:  # noqa: ANN401 - bind values
        """See `Compiled.rows`."""
        return list(map(self._row, msgspec.json.decode(self.scalar(connection, *values))))


class CompiledInsert(Compiled):
    """An INSERT of rows, many in one statement.

    The driver lets other threads run for each statement, and then waits for its turn again: with one statement per
    row, the store's thread and a busy event loop would switch for every row. `bulks` are the numbers of rows per
    statement, largest first; SQLite takes 32,766 values in one.
    """

    def __init__(self, statement: Executable, *names: str, bulks: Sequence[int] = _BULKS) -> None:
        super().__init__(statement, *names)
        self._sizes = bulks
        #: By the engine's name and the number of rows.
        self._bulks: dict[tuple[str, int], str] = {}

    def all(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Insert every row; return how many rows were new."""
        given, at, inserted = self._text(connection).arranged(rows), 0, 0
        cursor = _cursor(connection)
        for size in self._sizes:
            while len(given) - at >= size:
                sql = self._bulk(connection, size)
                values = list(chain.from_iterable(given[at : at + size]))
                try:
                    cursor.execute(sql, values)
                except _driver_error(connection) as error:
                    raise _wrapped(connection, sql, error) from error
                inserted += cursor.rowcount
                at += size
        return inserted

    def _bulk(self, connection: Connection, size: int) -> str:
        key = (connection.dialect.name, size)
        found = self._bulks.get(key)
        if found is None:
            head, tail = self.sql(connection).split(" VALUES ", 1)
            end = _end_of_row(tail)
            found = self._bulks[key] = f"{head} VALUES {', '.join([tail[:end]] * size)}{tail[end:]}"
        return found


def _end_of_row(text: str) -> int:
    """Return where the first parenthesis of a text is closed, plus one."""
    depth = 0
    for place, letter in enumerate(text, 1):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth == 0:
            return place
    raise ValueError(text)


def _cursor(connection: Connection) -> Any:  # noqa: ANN401 - of the engine's driver
    driver = connection.connection.dbapi_connection
    assert driver is not None  # noqa: S101 - for the type checker
    return driver.cursor()


def _driver_error(connection: Connection) -> type[Exception]:
    """Return what the engine's driver raises; asked only when something was raised."""
    error: type[Exception] = connection.dialect.loaded_dbapi.Error
    return error


def _wrapped(connection: Connection, sql: str, error: Exception) -> BaseException:
    """Return the error as SQLAlchemy raises it, but without the values, which are what users wrote."""
    base = _driver_error(connection)
    return DBAPIError.instance(sql, None, error, base, hide_parameters=True, dialect=connection.dialect)
