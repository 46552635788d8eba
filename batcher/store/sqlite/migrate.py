"""Upgrades the store by Alembic, imported only if the schema's revision differs (it costs 0.42 s).

Only run, resume, submit and `db upgrade` call `upgrade`, and only with the runner's lock held.
"""

import uuid
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from batcher import __version__
from batcher.domain.errors import StoreError, StoreTooNew
from batcher.domain.messages import Cause
from batcher.store.sqlite.database import Database

#: Every revision that this program knows, oldest first; a test compares them with migrations/versions.
KNOWN = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
HEAD = KNOWN[-1]


def revision_of(connection: Connection) -> str | None:
    """Return the store's revision; None if it is new and empty."""
    if not _has_table(connection, "alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _has_table(connection: Connection, name: str) -> bool:
    query = text("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name")
    return connection.execute(query, {"name": name}).first() is not None


def check_known(connection: Connection, path: Path) -> str | None:
    """Return the revision. Raises `StoreTooNew` with the newer program's version."""
    revision = revision_of(connection)
    if revision is None or revision in KNOWN:
        return revision
    made_by = _maker(connection)
    raise StoreTooNew(
        f"the store {path} was made by batcher {made_by} (schema {revision}); this is batcher {__version__}"
        f" (schema {HEAD})",
        hint=Cause.STORE_TOO_NEW(),
    )


def _maker(connection: Connection) -> str:
    """Return which program created the store, as far as this one can read a newer schema."""
    try:
        return str(connection.execute(text("SELECT program_version FROM store")).scalar())
    except OperationalError:
        return "of a later version"


def is_current(database: Database) -> bool:
    """Return whether the store needs no upgrade. Raises `StoreTooNew`."""
    with database.read() as connection:
        return check_known(connection, database.path) == HEAD


def require_current(database: Database) -> None:
    """Raise an error that says how to upgrade, for commands that must not upgrade themselves."""
    if not is_current(database):
        raise StoreError(f"the store {database.path} has an older schema", hint=Cause.UPGRADE_STORE())


def scripts() -> Path:
    """Return the folder of Alembic's environment: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def upgrade(database: Database, *, now: int) -> None:
    """Upgrade the store to HEAD, all in one transaction. The caller holds the runner's lock."""
    if is_current(database):
        return
    from alembic import command  # noqa: PLC0415 - costs 0.42 s; needed once a version
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _write_identity(connection, now)


def _write_identity(connection: Connection, now: int) -> None:
    insert = text(
        "INSERT INTO store (id, uuid, created_at, program_version) VALUES (1, :uuid, :now, :version)"
        " ON CONFLICT (id) DO UPDATE SET program_version = excluded.program_version"
    )
    connection.execute(insert, {"uuid": uuid.uuid4().hex, "now": now, "version": __version__})
