"""What the core tells its listeners. Logs, progress and iterators listen; nothing in the core waits for them."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.ids import JobId, RequestId
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import PauseCause


class AttemptEnded(Struct, frozen=True, kw_only=True):
    """One sending came back, or did not."""

    job_id: JobId
    line: int
    custom_id: str
    send: int
    lane: LaneKey
    status: int | None
    kind: str
    code: str | None
    message: str | None
    provider_request_id: str | None
    latency_us: int
    input_tokens: int | None
    output_tokens: int | None
    #: False: no connection came about, so the provider has seen nothing.
    sent: bool = True


class RequestsSettled(Struct, frozen=True, kw_only=True):
    """Requests of a job reached their end on disk: each once, followers included."""

    job_id: JobId
    completed: Sequence[RequestId] = ()
    dead_lettered: Sequence[RequestId] = ()
    #: How many of `completed` were answered without a request of their own.
    cached: int = 0


class LaneCooling(Struct, frozen=True, kw_only=True):
    """Nobody on the lane is admitted until the given UTC microsecond."""

    lane: LaneKey
    until: int
    code: str
    message: str


class SendingPaused(Struct, frozen=True, kw_only=True):
    """A pause began: a person must act."""

    lane: LaneKey
    cause: PauseCause


class BreakerChanged(Struct, frozen=True, kw_only=True):
    """Sending to an endpoint stopped in an outage, or began again."""

    endpoint: str
    open: bool
    since: int
    message: str


class DrainStarted(Struct, frozen=True, kw_only=True):
    """Nothing new is sent; what is in flight ends. `deadline` is seconds from now, None: without end."""

    in_flight: int
    deadline: float | None


class JobFinished(Struct, frozen=True, kw_only=True):
    """Every request of the job is settled."""

    job_id: JobId


Event = AttemptEnded | RequestsSettled | LaneCooling | SendingPaused | BreakerChanged | DrainStarted | JobFinished
