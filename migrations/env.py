"""Alembic's environment. batcher passes its open connection; `alembic revision` names a file with `-x db=PATH`."""

from alembic import context
from sqlalchemy import Connection, create_engine

from batcher.store.schema import metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        # The caller's transaction holds the whole upgrade.
        transactional_ddl=False,
        compare_server_default=True,
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    path = context.get_x_argument(as_dictionary=True).get("db", "batcher.db")
    with create_engine(f"sqlite:///{path}").begin() as own:
        _run(own)
