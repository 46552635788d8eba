"""Gives the disk back what a deletion freed, in steps that keep no one waiting."""

from typing import Final

from batcher.services.store.turns import let_others_write
from batcher.store.sqlite import maintenance
from batcher.store.sqlite.database import Database

#: Pages of 4 KiB per transaction.
_PAGES: Final = 1_000


def reclaim(database: Database) -> None:
    """Give back what is free. If it is interrupted, the next deletion continues."""
    more = True
    while more:
        with database.write() as connection:
            more = maintenance.reclaim_some(connection, _PAGES)
        if more:
            let_others_write()
