"""Every statement of the store is compiled for any engine that spells the expressions of `dialect`."""

import pkgutil
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, create_mock_engine, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex

import batcher.store
from batcher.store.compiled import Compiled
from batcher.store.dialect import (
    JoinedBytes,
    NewIds,
    NumbersAsJson,
    NumbersIn,
    RowsAsJson,
    dialect_of,
    ids_of,
    insert_new,
    insert_or_add,
    insert_or_update,
    new_ids,
)
from batcher.store.schema import metadata, requests, responses

#: A second engine, as far as it is spelled here: enough to see that nothing is left that only SQLite knows.
SECOND: Any = SimpleNamespace(dialect=postgresql.dialect(paramstyle="format"))
_SPELLED = {
    NewIds: "(SELECT json_agg(nextval(pg_get_serial_sequence({0}, 'id'))) FROM generate_series(1, {1}))",
    NumbersIn: "json_array_elements_text(CAST({0} AS JSON))",
    RowsAsJson: "json_agg(json_build_array({0}))",
    NumbersAsJson: "json_agg({0})",
    JoinedBytes: "string_agg({0})",
}


def _spell(text: str):
    return lambda element, compiler, **options: text.format(
        *(compiler.process(each, **options) for each in element.clauses)
    )


for _expression, _text in _SPELLED.items():
    compiles(_expression, "postgresql")(_spell(_text))


def statements() -> list[tuple[str, Compiled]]:
    modules = [
        import_module(found.name)
        for found in pkgutil.walk_packages(batcher.store.__path__, "batcher.store.")
        if not found.name.startswith("batcher.store.sqlite")
    ]
    return [
        (f"{module.__name__.removeprefix('batcher.store.')}.{name}", value)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Compiled)
    ]


@pytest.mark.parametrize("statement", [each for _, each in statements()], ids=[name for name, _ in statements()])
def test_a_statement_is_compiled_for_a_second_engine(database, statement):
    second = statement.sql(SECOND)
    with database.read() as connection:
        first = statement.sql(connection)
    assert "%s" in second or "?" not in first
    assert "json_each" not in second
    assert "json_group_array" not in second
    assert "?" not in second


def test_an_insert_says_what_becomes_of_a_row_that_is_there():
    made = Table("made", MetaData(), Column("id", Integer, primary_key=True), Column("n", Integer))
    values: dict[str, Any] = {"id": bindparam("id"), "n": bindparam("n")}
    for engine in (SECOND.dialect, None):
        new, keyed, changed, added = (
            str(each.values(values).compile(dialect=engine)).partition(" ON CONFLICT")[2]
            for each in (
                insert_new(made),
                insert_new(made, key=["id"]),
                insert_or_update(made, key=["id"], new=["n"]),
                insert_or_add(made, key=["id"], added=["n"]),
            )
        )
        assert (new, keyed) == (" DO NOTHING", " (id) DO NOTHING")
        assert changed == " (id) DO UPDATE SET n = excluded.n"
        assert added == " (id) DO UPDATE SET n = made.n + excluded.n"


def indexes_of(engine: str) -> list[str]:
    """The statements that make the indexes of the schema in an engine's words."""
    made: list[str] = []

    def keep(statement: Any, *_: object, **__: object) -> None:
        if isinstance(statement, CreateIndex):
            made.append(str(statement.compile(dialect=mock.dialect)))

    mock = create_mock_engine(f"{engine}://", keep)
    metadata.create_all(mock, checkfirst=False)
    return sorted(made)


def test_a_second_engine_has_the_same_partial_indexes():
    second = indexes_of("postgresql")
    assert second == indexes_of("sqlite")
    assert sum(" WHERE " in statement for statement in second) == 9


@pytest.mark.parametrize("table", [requests, responses], ids=lambda table: table.name)
def test_ids_of_new_rows_rise_and_are_those_of_no_row(database, table):
    with database.write() as connection:
        found = dialect_of(connection).next_ids(connection, table, 3)
        assert list(found) == sorted(set(found))
        assert len(found) == 3


@pytest.mark.parametrize(("found", "ids"), [("7", [7, 8, 9]), ("[4,6,9]", [4, 6, 9])])
def test_new_ids_are_read_as_an_engine_gives_them(found, ids):
    assert list(ids_of(found, 3)) == ids


@pytest.mark.parametrize("table", [requests, responses], ids=lambda table: table.name)
def test_ids_that_another_statement_reads_are_those_of_no_row(database, table):
    statement = Compiled(select(new_ids(table, "count")), "count")
    with database.write() as connection:
        found = ids_of(statement.scalar(connection, 3), 3)
        assert list(found) == list(dialect_of(connection).next_ids(connection, table, 3))
