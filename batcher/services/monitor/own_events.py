"""Which events of a runner concern the jobs of its own command: it may also run jobs that others handed over."""

from collections.abc import Collection
from typing import assert_never

from batcher.domain.events import AttemptEnded, BreakerChanged, Event, LaneCooling, RequestsSettled, SendingPaused
from batcher.domain.ids import JobId
from batcher.domain.lanes import LaneKey
from batcher.domain.states import PauseScope
from batcher.ports import OwnRunner


def concerns(event: Event, jobs: Collection[JobId], runner: OwnRunner | None) -> bool:
    """Return whether an event is about these jobs, or about a lane or an endpoint that they use."""
    if isinstance(event, AttemptEnded | RequestsSettled):
        return event.job_id in jobs
    if runner is None:
        return True
    if isinstance(event, LaneCooling):
        return event.lane in runner.lane_keys(jobs)
    if isinstance(event, SendingPaused):
        return event.job_id in jobs or _covers(event, runner.lane_keys(jobs))
    if isinstance(event, BreakerChanged):
        return any(key.endpoint_id == event.endpoint_id for key in runner.lane_keys(jobs))
    return True


def _covers(event: SendingPaused, own: Collection[LaneKey]) -> bool:
    """Return whether a pause that began on another job stops one of these lanes, too."""
    lane, scope = event.lane, event.cause.scope
    match scope:
        case PauseScope.ENDPOINT:
            return any(key.endpoint_id == lane.endpoint_id for key in own)
        case PauseScope.KEY:
            return any((key.endpoint_id, key.key_name) == (lane.endpoint_id, lane.key_name) for key in own)
        case PauseScope.LANE:
            return lane in own
        case PauseScope.JOB | PauseScope.ROUTE:
            return False
        case _:
            assert_never(scope)
