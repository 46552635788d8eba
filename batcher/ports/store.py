"""What the services need of a store, whichever engine keeps it."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from batcher.domain.ids import HolderId
from batcher.domain.requests import SentClaims
from batcher.ports.worker import InFlightLog

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class Store(Protocol):
    """An open store. Operations on it are functions of `batcher.store` that take a connection."""

    #: Whether a write waits for other processes as long as they live; if not, it fails after a minute.
    is_patient: bool

    @property
    def name(self) -> str:
        """Return the store's name, for messages."""
        ...

    @property
    def is_read_only(self) -> bool:
        """Return whether `write` raises."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """Return the files that belong to the store, which no output may replace; some may not exist."""
        ...

    @property
    def coordination(self) -> "Coordination":
        """Return what the processes that use the store agree on."""
        ...

    @property
    def upkeep(self) -> "Upkeep":
        """Return what examines, copies and shrinks the store."""
        ...

    def read(self, *, flushed: bool = False) -> "AbstractContextManager[Connection]":
        """Read one consistent snapshot; never waits for writers. `flushed`: what it contains is on disk."""
        ...

    def write(self, *, flush: bool = True) -> "AbstractContextManager[Connection]":
        """Run one transaction. It is committed and on disk at the end; an exception rolls it back."""
        ...

    def is_busy(self) -> bool:
        """Return whether a write would have to wait now, for this process or another."""
        ...

    def wait(self, allowed: bool) -> None:
        """Set whether threads may wait for another writer. False also ends the wait of those that do."""
        ...

    def revision(self) -> str | None:
        """Return the revision of the store's schema; None if it is new and empty. Raises `StoreTooNew`."""
        ...

    def is_current(self) -> bool:
        """Return whether the schema needs no upgrade. Raises `StoreTooNew`."""
        ...

    def upgrade(self, *, now: int) -> None:
        """Upgrade the schema to this program's. The caller is the runner."""
        ...

    def start_writer(self) -> "Writer":
        """Start what commits work in batches."""
        ...

    def close(self) -> None:
        """Close the store's connections."""
        ...


class Writer(Protocol):
    """Runs work inside write transactions, in the order given."""

    @property
    def pipeline_depth(self) -> int:
        """Return how many batches may be on their way to the disk at a time.

        It is 1 unless work mostly waits for the disk. Then the next batch is written meanwhile.
        """
        ...

    def write(self, work: "Callable[[Connection], T]") -> Awaitable[T]:
        """Run the work; the result is available when it is on disk."""
        ...

    def close(self) -> None:
        """Finish what was given."""
        ...


class Coordination(Protocol):
    """What the processes that use one store agree on: who runs its jobs, who loads one, and what was sent."""

    def runner_role(self) -> "RunnerRole":
        """Return a contender for the role of the store's runner."""
        ...

    def live_runner(self) -> int | None:
        """Return the pid of another runner that is using the store now; 0 if it is unknown, None if none is."""
        ...

    def loading(self, if_alone: Callable[[], None]) -> AbstractContextManager[None]:
        """Let other processes know, during the block, that a job is being loaded.

        `if_alone` is called first if no other process is loading one: then half-loaded jobs are of dead loaders.
        """
        ...

    def last_sent(self, *, boot: str | None) -> SentClaims | None:
        """Return what the last runner had in flight; None if unknown, so that any of its claims may have been."""
        ...

    def in_flight_log(self, *, holder: HolderId, boot: str | None) -> "OwnInFlightLog":
        """Return an empty in-flight log of this holder, in place of the last runner's."""
        ...


class RunnerRole(Protocol):
    """A contender for being the runner, which ends with its process. One object is one contender."""

    def acquire(self) -> None:
        """Become the runner. Raises `RunnerBusy` with the other's pid."""
        ...

    def is_live(self) -> bool:
        """Return whether another contender is the runner now."""
        ...

    def pid(self) -> int | None:
        """Return the pid of the runner, or of the last one."""
        ...

    def close(self) -> None:
        """Give the role up, so that another process can take it."""
        ...


class OwnInFlightLog(InFlightLog, Protocol):
    """The in-flight log of this process."""

    def close(self) -> None:
        """Write no more; what was written stays."""
        ...

    def remove_if_empty(self) -> None:
        """Close it, and remove it if no request is in flight, because it then adds nothing to the store."""
        ...


class Upkeep(Protocol):
    """What examines, copies and shrinks a store."""

    def problems(self) -> list[str]:
        """Return what is wrong with the store; empty if it is sound. Reads all of it."""
        ...

    def size(self) -> int:
        """Return the size of the store in bytes."""
        ...

    def backup(self, target: Path, *, replace: bool) -> None:
        """Copy the store as it is at one instant; complete, or not there at all.

        Raises UsageError if `target` exists and must not be replaced, BatcherError if it cannot be written.
        """
        ...

    def compact(self) -> None:
        """Write the store again without free space. The caller is the runner."""
        ...

    def reclaim_some(self) -> bool:
        """Give some of what is free back to the disk; return whether more can be."""
        ...
