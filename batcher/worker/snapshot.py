"""What a runner shows of itself: to its own process at any time, and to others through the store once a second."""

from collections import Counter
from collections.abc import Mapping

from msgspec.structs import replace

from batcher.domain.ids import JobId
from batcher.domain.jobs import RunnerSnapshot
from batcher.domain.lanes import LaneView
from batcher.worker.run_state import State

#: Ends of cool-downs that are nearer to each other are the same.
_SAME_US = 10_000


def snapshot_of(state: State, keys: Mapping[JobId, str]) -> RunnerSnapshot:
    """Return what the runner has in hand now. `keys`: marks of the credentials that it sends, by job."""
    return RunnerSnapshot(
        jobs=list(state.jobs),
        in_flight=state.in_flight,
        rates={job_id: rate for job_id, job in state.jobs.items() if (rate := job.pace.per_second())},
        sending=Counter(claim.job_id for claim in state.sending.values()),
        keys={job_id: keys[job_id] for job_id in state.jobs if job_id in keys},
        outages=[each.base_url for each in state.endpoints.values() if each.breaker.is_open],
    )


def is_same(one: LaneView | None, other: LaneView) -> bool:
    """Return whether both show the same. The same end of a cool-down differs by microseconds."""
    if one is None or one.cooling_until is None or other.cooling_until is None:
        return one == other
    apart = abs(one.cooling_until - other.cooling_until)
    return apart < _SAME_US and replace(one, cooling_until=other.cooling_until) == other
