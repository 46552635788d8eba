"""A process whose key is not the live runner's takes over from it, and the runner hands over in good order.

A runner goes on with the credentials that it was started with. A process that resumes a job with others asks it to
hand over: it sends nothing new, lets its requests in flight finish, and releases its lock. Nothing is sent twice.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from batcher.domain.errors import BatcherError
from batcher.domain.ids import JobId
from batcher.domain.jobs import Job, Runner, RunnerSnapshot
from batcher.domain.settings import JobSettings
from batcher.domain.states import JobState
from batcher.ports import Store
from batcher.services.monitor.live_runner import live_runner
from batcher.store.jobs import jobs

#: Seconds within which a successor must have taken the lock; then the runner goes on itself.
_SUCCESSOR_SECONDS = 10.0
_LOOK_SECONDS = 0.05

#: Returns a short digest of the credentials that this process would send for a job, salted for one runner. Raises
#: BatcherError if there are none.
KeyMark = Callable[[JobSettings, str], str]


class StaleKey(Struct, frozen=True, kw_only=True):
    """The live runner sends other credentials than this process would."""

    pid: int | None
    #: The jobs of this process, and the variables that hold their credentials.
    jobs: Sequence[Job]
    variables: Sequence[str]
    #: Why this process cannot take over: a job that the runner runs and this process has no credentials for.
    lacking: tuple[Job, BatcherError] | None = None


def salt_of(runner: int) -> str:
    """Return the salt of a runner's marks: its number in the store."""
    return f"runner {runner}"


def mark_of(settings: JobSettings, key_mark: KeyMark, runner: int) -> str:
    """Return the mark of the credentials that this process has for a job; "" if it has none."""
    try:
        return key_mark(settings, salt_of(runner))
    except BatcherError:
        return ""


class Succession:
    """Whether this process should be the runner in place of the one that lives. It asks at most once."""

    def __init__(
        self,
        database: Store,
        wanted: Sequence[JobId],
        key_mark: KeyMark,
        notify: Callable[[StaleKey], None],
    ) -> None:
        self._database = database
        self._wanted = wanted
        self._key_mark = key_mark
        self._notify = notify
        self._is_decided = False
        #: Whether the live runner was asked to hand over.
        self.asked = False

    def consider(self) -> None:
        """Ask the live runner to hand over, if it sends other credentials for a job of this process."""
        runner = None if self._is_decided else live_runner(self._database)
        if runner is None or runner.snapshot is None:
            return
        with self._database.read() as connection:
            known = [job for job in jobs.all_jobs(connection) if job.state is JobState.OPEN]
        stale = self._stale(runner, runner.snapshot, known)
        if stale is None:
            return
        self._is_decided = True
        if stale.lacking is None:
            self.asked = True
            with self._database.write() as connection:
                jobs.want_in_place(connection, [job.id for job in stale.jobs])
        self._notify(stale)

    def give_up(self) -> None:
        """Ask no more: this process has handed over itself."""
        self._is_decided, self.asked = True, False

    def _stale(self, runner: Runner, snapshot: RunnerSnapshot, known: Sequence[Job]) -> StaleKey | None:
        own = [job for job in known if job.id in self._wanted and self._differs(job, runner, snapshot)]
        if not own:
            return None
        variables = dict.fromkeys(name for job in own for name in _variables(job.settings))
        others = [job for job in known if job.wanted and job.id in snapshot.jobs and job.id not in self._wanted]
        return StaleKey(
            pid=runner.pid, jobs=own, variables=list(variables), lacking=self._lacking(others, snapshot, runner)
        )

    def _differs(self, job: Job, runner: Runner, snapshot: RunnerSnapshot) -> bool:
        theirs, mine = snapshot.keys.get(job.id), mark_of(job.settings, self._key_mark, runner.id)
        return theirs is not None and mine not in {"", theirs}

    def _lacking(
        self, others: Sequence[Job], snapshot: RunnerSnapshot, runner: Runner
    ) -> tuple[Job, BatcherError] | None:
        for job in others:
            try:
                self._key_mark(job.settings, salt_of(runner.id))
            except BatcherError as error:
                # What the runner has no key for either waits for one in any case.
                if snapshot.keys.get(job.id):
                    return job, error
        return None


def _variables(settings: JobSettings) -> list[str]:
    return [settings.api_key_env, *settings.headers.values()]


async def let_successor_start(database: Store, interrupted: asyncio.Event) -> int | None:
    """Wait until another process is the runner, and return its pid; None if none was in time."""
    lock = database.coordination.runner_role()
    try:
        for _ in range(round(_SUCCESSOR_SECONDS / _LOOK_SECONDS)):
            if lock.is_live():
                return lock.pid() or 0
            if interrupted.is_set():
                break
            await asyncio.sleep(_LOOK_SECONDS)
        return None
    finally:
        lock.close()
