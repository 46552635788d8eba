"""What the engines spell differently: expressions, inserts that expect a row to be there, and a few operations.

An expression here has no text of its own. Each engine gives it one when it is loaded, by SQLAlchemy's `compiles`
for the expression and the engine's name, and registers its operations (`register`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Dialect(Protocol):
    """Operations that are not one statement in every engine."""

    def next_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Return so many ids for new rows of the table, rising. No other transaction gets them."""
        ...

    def change_counter(self, connection: Connection) -> int:
        """Return a number that changes when another connection has changed the store."""
        ...

    def release_job_number(self, connection: Connection, job_id: int) -> None:
        """Let the next job have the number of a removed job that no one has seen, if that is possible."""
        ...


_known: dict[str, Dialect] = {}


def register(name: str, dialect: Dialect) -> None:
    """Make an engine's operations known under the name that SQLAlchemy has for it."""
    _known[name] = dialect


def dialect_of(connection: Connection) -> Dialect:
    """Return the operations of the engine that the connection belongs to."""
    return _known[connection.dialect.name]


class NewIds(FunctionElement[str]):
    """Ids for new rows, made by `new_ids`."""

    inherit_cache = True
    name = "new_ids"
    type = Text()


def new_ids(table: Table, count: str) -> NewIds:
    """Return ids for new rows of the table, as many as the named parameter says; `ids_of` reads them.

    They are a part of a statement that reads something else as well; `Dialect.next_ids` would be one more.
    """
    # By its name: with a column of it, the statement would read from the table.
    return NewIds(literal(table.name), bindparam(count, type_=Integer()))


def ids_of(found: str, count: int) -> Sequence[int]:
    """Return the ids that `new_ids` found: all as a JSON list, or the first where others follow it."""
    ids: int | list[int] = msgspec.json.decode(found)
    return ids if isinstance(ids, list) else range(ids, ids + count)


class NumbersIn(FunctionElement[int]):
    """The numbers of a JSON list, one a row."""

    inherit_cache = True
    name = "numbers_in"
    type = BigInteger()


class RowsAsJson(FunctionElement[str]):
    """The columns of all rows as one JSON text: a list of lists."""

    inherit_cache = True
    name = "rows_as_json"
    type = Text()


class NumbersAsJson(FunctionElement[str]):
    """The numbers of all rows as one JSON list."""

    inherit_cache = True
    name = "numbers_as_json"
    type = Text()


class JoinedBytes(FunctionElement[bytes]):
    """The bytes of all rows, joined by a byte whose number is the second argument."""

    inherit_cache = True
    name = "joined_bytes"
    type = LargeBinary()


def literal(value: str | int) -> ColumnElement[Any]:
    """Return a constant written into the statement: a partial index is used only if the constant is seen."""
    return literal_column(f"'{value}'" if isinstance(value, str) else str(value))


def id_list(name: str) -> Any:  # noqa: ANN401 - a subquery of one column
    """Return the numbers of a JSON list, which is the named parameter, as a subquery (see `as_json_array`)."""
    return select(NumbersIn(bindparam(name, type_=Text())).table_valued("value").c.value)


def as_json_array(numbers: Iterable[int]) -> str:
    """Return the JSON list that the subquery reads: any number of values in one parameter.

    Engines limit the number of parameters.
    """
    return msgspec.json.encode(list(numbers)).decode()


class Upsert(Insert):
    """An INSERT of rows of which some may be there. The engines spell it alike."""

    inherit_cache = False
    conflict = "ON CONFLICT DO NOTHING"


@compiles(Upsert)
def _spell_upsert(statement: Upsert, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    plain: str = compiler.visit_insert(statement, **options)  # type: ignore[no-untyped-call]
    return f"{plain} {statement.conflict}"


def insert_new(table: Table, *, key: Sequence[str] = ()) -> Upsert:
    """Return an INSERT that leaves a row that has the same `key` (without one: any unique key) as it is."""
    statement = Upsert(table)
    if key:
        statement.conflict = f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
    return statement


def insert_or_add(table: Table, *, key: Sequence[str], added: Sequence[str]) -> Upsert:
    """Return an INSERT that adds its values of the `added` columns to a row with the same key."""
    statement = Upsert(table)
    sums = (f"{name} = {table.name}.{name} + excluded.{name}" for name in added)
    statement.conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(sums)}"
    return statement


def insert_or_update(
    table: Table, *, key: Sequence[str], new: Sequence[str], reset: Sequence[str] = (), where: str = ""
) -> Upsert:
    """Return an INSERT that gives a row with the same key the `new` columns, and 0 in those to `reset`.

    `where`, if given, is the condition for that; a row that does not meet it stays as it is.
    """
    statement = Upsert(table)
    values = [*(f"{name} = excluded.{name}" for name in new), *(f"{name} = 0" for name in reset)]
    statement.conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(values)}"
    if where:
        statement.conflict += f" WHERE {where}"
    return statement
