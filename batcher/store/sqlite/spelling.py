"""How SQLite spells what the engines spell differently (`batcher.store.dialect`)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from batcher.store.dialect import JoinedBytes, NewIds, NumbersAsJson, NumbersIn, RowsAsJson


@compiles(NewIds, "sqlite")
def _new_ids(element: NewIds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    table, _ = (compiler.process(each, **options) for each in element.clauses)
    name = table.strip("'")
    return f"(SELECT CAST(coalesce(max(id), 0) + 1 AS TEXT) FROM {name})"


@compiles(NumbersIn, "sqlite")
def _numbers_in(element: NumbersIn, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(RowsAsJson, "sqlite")
def _rows_as_json(element: RowsAsJson, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


@compiles(NumbersAsJson, "sqlite")
def _numbers_as_json(element: NumbersAsJson, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    return f"json_group_array({compiler.process(element.clauses, **options)})"


@compiles(JoinedBytes, "sqlite")
def _joined_bytes(element: JoinedBytes, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's
    column, byte = (compiler.process(each, **options) for each in element.clauses)
    return f"CAST(group_concat({column}, char({byte})) AS BLOB)"


class SqliteDialect:
    """`dialect.Dialect`. A write transaction excludes all others, so what it reads stays true until its end."""

    def next_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """See `dialect.Dialect`. Where an id is never used again, SQLite remembers the largest that there was."""
        if table.dialect_options["sqlite"]["autoincrement"]:
            query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
            last = connection.execute(query, {"name": table.name}).scalar()
        else:
            last = connection.execute(select(func.max(table.c.id))).scalar()
        return range((last or 0) + 1, (last or 0) + 1 + count)

    def change_counter(self, connection: Connection) -> int:
        """See `dialect.Dialect`."""
        return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())

    def release_job_number(self, connection: Connection, job_id: int) -> None:
        """See `dialect.Dialect`: unless a later job has begun."""
        statement = text("UPDATE sqlite_sequence SET seq = :id - 1 WHERE name = 'jobs' AND seq = :id")
        connection.execute(statement, {"id": job_id})
