"""The senders of a run: one for all jobs with the same connection settings."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from batcher.domain.ids import JobId
from batcher.domain.jobs import Job
from batcher.domain.settings import JobSettings
from batcher.ports import Sender


class Senders:
    """Makes senders as jobs start; they are closed with the run."""

    def __init__(
        self,
        stack: AsyncExitStack,
        sender: Callable[[Job, str], AbstractAsyncContextManager[Sender]],
        simulator: Callable[[], AbstractAsyncContextManager[str]],
        *,
        mark: Callable[[JobSettings], str],
    ) -> None:
        self._stack = stack
        self._sender = sender
        self._simulator = simulator
        self._mark = mark
        self._made: dict[str, Sender] = {}
        self._simulated: str | None = None
        #: Marks of the credentials that are sent, by job; "" if there are none.
        self.marks: dict[JobId, str] = {}

    async def of(self, job: Job) -> Sender:
        """Return the job's sender. Raises BatcherError if it cannot be made."""
        settings = job.settings
        self.marks[job.id] = self._mark(settings)
        base_url = await self._base_url(job)
        key = repr((base_url, settings.api_key_env, settings.headers, settings.timeout, settings.ca_file))
        if key not in self._made:
            self._made[key] = await self._stack.enter_async_context(self._sender(job, base_url))
        return self._made[key]

    async def _base_url(self, job: Job) -> str:
        if not job.settings.simulate:
            return job.base_url
        if self._simulated is None:
            self._simulated = await self._stack.enter_async_context(self._simulator())
        return self._simulated
