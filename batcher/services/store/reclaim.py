"""Gives the disk back what a deletion freed, in steps that keep no one waiting."""

from batcher.ports import Store
from batcher.services.store.turns import let_others_write


def reclaim(database: Store) -> None:
    """Give back what is free. If it is interrupted, the next deletion continues."""
    while database.upkeep.reclaim_some():
        let_others_write()
