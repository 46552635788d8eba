"""The live runner of a store, and what it had in hand at its last heartbeat."""

from batcher.domain.ids import JobId
from batcher.domain.jobs import Runner
from batcher.ports import Store
from batcher.store.queue import runners


def live_runner(database: Store, *, is_live: bool | None = None) -> Runner | None:
    """Return the live runner; None if there is none, or if it has not recorded itself yet.

    `is_live`: whether a runner lives, if the caller knows; None tests the runner's lock.
    """
    if is_live is None:
        is_live = database.coordination.live_runner() is not None
    if not is_live:
        return None
    with database.read() as connection:
        return runners.latest_runner(connection)


def in_flight(runner: Runner | None, job_id: JobId, claimed: int) -> int:
    """Return how many of the job's claimed requests are in flight, by the runner's last snapshot."""
    if runner is None or runner.snapshot is None:
        return 0
    # The snapshot is up to a second old; rows that were settled since are no longer in flight.
    return min(claimed, runner.snapshot.sending.get(job_id, 0))
