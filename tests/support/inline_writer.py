"""A writer without a thread, for tests and for the simulation in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import Connection

from batcher.ports import Store

T = TypeVar("T")


class InlineWriter:
    """The writer of a simulation: each piece of work is its own transaction, run when it is given."""

    pipeline_depth = 1

    def __init__(self, database: Store) -> None:
        self._database = database

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """Do the work now; what is awaited is already on disk."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            with self._database.write() as connection:
                result = work(connection)
        except Exception as error:  # noqa: BLE001 - every error belongs to the one who waits
            done.set_exception(error)
        else:
            done.set_result(result)
        return done

    def close(self) -> None:
        """Do nothing; all work is done."""
