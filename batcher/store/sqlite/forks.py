"""What a forked child must not keep of its parent's store.

A lock (`flock`) belongs to an open file, and a fork shares open files: a child that kept one would hold the lock
after its parent has ended. SQLite's connections must neither be used nor closed in a child, and the file must not
be opened there while the library still counts the parent's locks as its own.
"""

import os
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from batcher.domain.errors import StoreError


class Inherited(Protocol):
    """Something that a child must give up."""

    def after_fork(self) -> None:
        """Give it up, in the child. Must not block: no other thread exists here."""
        ...


_open: WeakSet[Inherited] = WeakSet()
#: Device and inode of the stores that were open when this process was forked.
_stores: set[tuple[int, int]] = set()


def watch(each: Inherited) -> None:
    """Have `after_fork` called in every forked child, as long as the object lives."""
    _open.add(each)


def inherit(store: tuple[int, int] | None) -> None:
    """Record, in the child, that the parent has this store open."""
    if store is not None:
        _stores.add(store)


def refuse_inherited(store: tuple[int, int] | None, path: Path) -> None:
    """Raise StoreError if the store was open when this process was forked."""
    if store in _stores:
        raise opened_before_fork(path)


def opened_before_fork(path: Path) -> StoreError:
    """Return the error to raise in a child."""
    return StoreError(
        f"the store {path} was open when this process was forked, and its locks belong to the parent",
        hint="fork before the store is opened, or start processes with multiprocessing.get_context('spawn')",
    )


def leak(connection: object) -> None:
    """Keep the object to the end of the process, so that it is never closed, not even by the garbage collector."""
    import ctypes  # noqa: PLC0415 - only in a child that inherited a store

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


def _after_fork() -> None:
    for each in list(_open):
        each.after_fork()


os.register_at_fork(after_in_child=_after_fork)
