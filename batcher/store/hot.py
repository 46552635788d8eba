"""Statements built in Core and compiled once: ordinary Core costs 40 µs a row, these 16 (DESIGN: The store)."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, CursorResult, bindparam, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

_DIALECT = sqlite.dialect(paramstyle="qmark")


def word(value: str | int) -> ColumnElement[Any]:
    """A constant written into the statement: SQLite uses a partial index only where it sees the constant."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def listed(name: str) -> Any:  # noqa: ANN401 - a subquery of one column
    """The numbers of a JSON list as a subquery. PostgreSQL: `= ANY(:ids)`."""
    return select(func.json_each(bindparam(name)).table_valued("value").c.value)


def as_list(numbers: Iterable[int]) -> str:
    """What `listed` reads: any number of values in one parameter (SQLite allows 32,766 parameters)."""
    return msgspec.json.encode(list(numbers)).decode()


def _arranger(order: list[int], given: int) -> Callable[[tuple[Any, ...]], tuple[Any, ...]] | None:
    """How to bring given values into the statement's order; None: they are in it."""
    if order == list(range(given)):
        return None
    if len(order) == 1:
        return lambda row: (row[order[0]],)
    return itemgetter(*order)


class Hot:
    """One statement, its SQL text and the order of its parameters, all known before the first row.

    `names` are the bind parameters in the order in which callers give values.
    """

    def __init__(self, statement: Executable, *names: str) -> None:
        assert isinstance(statement, ClauseElement)  # noqa: S101 - for the type checker: every Executable here is
        compiled = statement.compile(dialect=_DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - for the type checker
        self.sql = str(compiled)
        #: What the dialect adds of itself: SQLite's LIMIT comes with an OFFSET of 0.
        own = [
            name for name in compiled.positiontup or () if name not in names and compiled.params[name] is not None
        ]
        self._own = tuple(compiled.params[name] for name in own)
        known = [*names, *own]
        order = [known.index(name) for name in compiled.positiontup or ()]
        self._arrange = _arranger(order, len(names))

    def run(self, connection: Connection, *values: Any) -> CursorResult[*tuple[Any, ...]]:  # noqa: ANN401 - bind values
        """Execute once with values in the declared order."""
        row = values if self._arrange is None else self._arrange(values + self._own)
        return connection.exec_driver_sql(self.sql, row)

    def many(self, connection: Connection, rows: Iterable[tuple[Any, ...]]) -> int:
        """Execute for every row; returns how many rows of the table changed."""
        arranged = list(rows) if self._arrange is None else [self._arrange(row + self._own) for row in rows]
        if not arranged:
            return 0
        return connection.exec_driver_sql(self.sql, arranged).rowcount
