"""What the services need of a runner in this process. Only the composition root knows which class it is."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from batcher.domain.ids import HolderId, JobId
from batcher.domain.jobs import Job, RunnerSnapshot
from batcher.domain.lanes import LaneKey, LaneView
from batcher.domain.settings import JobSettings
from batcher.ports.store import Writer
from batcher.ports.worker import Budget, Clock, Events, InFlightLog, OutputValidator, Queue, Sender


class OwnRunner(Protocol):
    """The runner of this process: what it shows, and what it can be asked to do."""

    @property
    def hands_over(self) -> bool:
        """Return whether it ends because another process, which has other credentials, is to be the runner."""
        ...

    def snapshot(self) -> RunnerSnapshot:
        """Return what it has in hand now."""
        ...

    def lane_keys(self, jobs: Collection[JobId]) -> Collection[LaneKey]:
        """Return the lanes that these jobs use now."""
        ...

    def lanes(self, jobs: Collection[JobId]) -> Sequence[LaneView]:
        """Return the same lanes with their limits and what of them is in use."""
        ...

    async def run(self, jobs: Sequence[JobId], *, probing: Sequence[JobId] = ()) -> object:
        """Work until none of these jobs can go on, or until drained. By then nothing is in hand any more.

        Jobs that a person has just resumed from a pause (`probing`) begin with one request alone.
        """
        ...

    def wake(self) -> None:
        """Claim at once: a listener that was behind can take more."""
        ...

    def drain(self, deadline: float | None) -> None:
        """Send nothing new; requests in flight may finish within `deadline` seconds (None: without limit)."""
        ...

    def stop(self) -> None:
        """Stop at once: requests in flight go back without using an attempt."""
        ...


class QueueMaker(Protocol):
    """Makes the queue of a holder, over the store's writer."""

    def __call__(
        self,
        writer: Writer,
        holder: HolderId,
        clock: Clock,
        *,
        answer_scope: Callable[[JobSettings], str | None],
    ) -> Queue:
        """Return the queue. `answer_scope` says which answers a job may share; None if that is not known."""
        ...


class RunnerMaker(Protocol):
    """Makes the runner of this process."""

    def __call__(
        self,
        *,
        queue: Queue,
        budget: Budget,
        clock: Clock,
        events: Events,
        senders: Callable[[Job], Awaitable[Sender]],
        concurrency: int | None,
        validator: OutputValidator,
        jitter: Callable[[], float],
        flights: InFlightLog,
        keys: Mapping[JobId, str],
    ) -> OwnRunner:
        """Return a runner that has not begun.

        `concurrency`: the most requests in flight; None: adaptive. `keys`: marks of the credentials that are sent.
        """
        ...
