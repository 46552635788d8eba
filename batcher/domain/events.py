"""What the core reports to its listeners: logs, progress, iterators. The core never waits for a listener."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.domain.ids import EndpointId, JobId, RequestId
from batcher.domain.lanes import LaneKey
from batcher.domain.outcomes import PauseCause


class AttemptEnded(Struct, frozen=True, kw_only=True):
    """One attempt ended, with or without a reply."""

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
    #: False if no connection was made, so that the provider has seen nothing.
    sent: bool = True


class RequestsSettled(Struct, frozen=True, kw_only=True):
    """Requests of one job were settled in one transaction, followers included; each is reported once."""

    job_id: JobId
    completed: Sequence[RequestId] = ()
    dead_lettered: Sequence[RequestId] = ()
    #: How many of `completed` were answered without a request of their own.
    cached: int = 0
    #: Followers of some of them are left, which end in later transactions (`ports.Queue.share_ends`).
    followers_left: bool = False


class LaneCooling(Struct, frozen=True, kw_only=True):
    """The lane admits no request until the given UTC microsecond."""

    lane: LaneKey
    until: int
    code: str
    message: str
    #: Whether the server named the wait; otherwise it is our own.
    named: bool = False


class SendingPaused(Struct, frozen=True, kw_only=True):
    """A pause began: a person must act."""

    lane: LaneKey
    cause: PauseCause
    #: The job on whose requests it began. A pause of a lane or more concerns others, too.
    job_id: JobId


class BreakerChanged(Struct, frozen=True, kw_only=True):
    """Sending to an endpoint stopped in an outage, or resumed."""

    endpoint_id: EndpointId
    #: Its base URL, as it may be shown.
    endpoint: str
    open: bool
    since: int
    message: str


class DrainStarted(Struct, frozen=True, kw_only=True):
    """No new request is sent; those in flight finish. `deadline` is seconds from now, or None for no deadline."""

    in_flight: int
    deadline: float | None
    #: The run's own jobs are over: what is in flight is of jobs that other processes handed over.
    handing_over: bool = False


class JobFinished(Struct, frozen=True, kw_only=True):
    """Every request of the job is settled."""

    job_id: JobId


Event = AttemptEnded | RequestsSettled | LaneCooling | SendingPaused | BreakerChanged | DrainStarted | JobFinished
