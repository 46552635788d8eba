"""Statements built in Core, compiled once, and run on the driver's own cursor with tuples.

Measured per row in groups of 200: ordinary Core costs 40 to 47 µs; compiled once and run through SQLAlchemy, 16.
What remains of SQLAlchemy costs 20 µs per statement, and a runner settles in small batches; hence the cursor.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, cast

import msgspec
from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, bindparam, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.selectable import SelectBase

_DIALECT = sqlite.dialect(paramstyle="qmark")
#: Rows per INSERT, largest first. There are few sizes, so that the driver keeps each one prepared.
_BULKS = (64, 32, 16, 8, 4, 2, 1)


def literal(value: str | int) -> ColumnElement[Any]:
    """Return a constant written into the statement: SQLite uses a partial index only if it sees the constant."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def id_list(name: str) -> Any:  # noqa: ANN401 - a subquery of one column
    """Return the numbers of a JSON list as a subquery. PostgreSQL: `= ANY(:ids)`."""
    return select(func.json_each(bindparam(name)).table_valued("value").c.value)


def as_json_array(numbers: Iterable[int]) -> str:
    """Return the JSON list that the subquery reads: any number of values in one parameter.

    SQLite allows 32,766 parameters.
    """
    return msgspec.json.encode(list(numbers)).decode()


def _arranger(order: list[int], given: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
    """Return how to bring given values into the statement's order; None if they already are."""
    if order == list(range(given)):
        return None
    if len(order) == 1:
        return lambda row: (row[order[0]],)
    return itemgetter(*order)


def _row_type(statement: ClauseElement) -> Callable[[tuple[Any, ...]], Any]:
    """Return the row type: the names of the selected columns."""
    if not isinstance(statement, SelectBase):
        return tuple
    names = [str(name) for name in statement.selected_columns.keys()]  # noqa: SIM118 - a collection, not a dict
    made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc] # noqa: PYI024 - the statement's own names
    make: Callable[[tuple[Any, ...]], Any] = made._make
    return make


class Compiled:
    """One statement: its SQL text and the order of its parameters, all known before the first row.

    `names` are the bind parameters in the order in which callers give values.
    """

    def __init__(self, statement: Executable, *names: str) -> None:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - for the type checker: every Executable here is
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        self.sql = str(compiled)
        #: Values that the dialect adds: SQLite's LIMIT comes with an OFFSET of 0.
        own = [
            name for name in compiled.positiontup or () if name not in names and compiled.params[name] is not None
        ]
        self._own = tuple(compiled.params[name] for name in own)
        known = [*names, *own]
        order = [known.index(name) for name in compiled.positiontup or ()]
        self._arrange = _arranger(order, len(names))
        self._row = _row_type(statement)

    def each(self, connection: Connection, *values: Any) -> Iterator[Any]:  # noqa: ANN401 - bind values
        """Yield the selected rows as named tuples, one row in memory at a time."""
        try:
            yield from map(self._row, self._execute(connection, values))
        except sqlite3.Error as error:
            raise _wrapped(self.sql, error) from error

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
        return self._execute(connection, values).rowcount

    def many(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Execute for every row; return how many rows of the table changed."""
        arranged = self._arranged(rows)
        if not arranged:
            return 0
        cursor = _cursor(connection)
        try:
            return cursor.executemany(self.sql, arranged).rowcount
        except sqlite3.Error as error:
            raise _wrapped(self.sql, error) from error

    def _arranged(self, rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return list(rows) if self._arrange is None else [self._arrange(row + self._own) for row in rows]

    def _execute(self, connection: Connection, values: tuple[Any, ...]) -> sqlite3.Cursor:
        arranged = values if self._arrange is None else self._arrange(values + self._own)
        try:
            return _cursor(connection).execute(self.sql, arranged)
        except sqlite3.Error as error:
            raise _wrapped(self.sql, error) from error


def as_json_rows(statement: Select[Any] | CompoundSelect[Any]) -> Select[Any]:
    """Select the rows of a statement as one JSON text: a list of lists."""
    inner = statement.subquery()
    return select(func.json_group_array(func.json_array(*inner.c)))


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
        head, tail = self.sql.split(" VALUES ", 1)
        end = tail.index(")") + 1
        self._texts = {size: f"{head} VALUES {', '.join([tail[:end]] * size)}{tail[end:]}" for size in bulks}

    def all(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Insert every row; return how many rows were new."""
        given, at, inserted = self._arranged(rows), 0, 0
        cursor = _cursor(connection)
        for size, text in self._texts.items():
            while len(given) - at >= size:
                values = list(chain.from_iterable(given[at : at + size]))
                try:
                    inserted += cursor.execute(text, values).rowcount
                except sqlite3.Error as error:
                    raise _wrapped(self.sql, error) from error
                at += size
        return inserted


def _cursor(connection: Connection) -> sqlite3.Cursor:
    driver = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    return driver.cursor()


def _wrapped(sql: str, error: sqlite3.Error) -> BaseException:
    """Return the error as SQLAlchemy raises it, but without the values, which are what users wrote."""
    return DBAPIError.instance(sql, None, error, sqlite3.Error, hide_parameters=True, dialect=_DIALECT)
