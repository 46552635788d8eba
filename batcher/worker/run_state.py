"""What a runner has in hand. Plain containers: the loops in the other modules act on them."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from batcher.domain.ids import EndpointId, JobId, RequestId, RouteId
from batcher.domain.jobs import Job
from batcher.domain.lanes import LaneKey, StoredLane
from batcher.domain.outcomes import PauseCause
from batcher.domain.requests import Claim, Route, SettledIds
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.ports import Flights, Sender

#: Bytes of bodies in hand above which nothing more is claimed. One body, of 64 MiB at most, may come on top: that
#: stays below the 256 MiB of DESIGN (The store).
MOST_BYTES = 128 * 1024 * 1024

#: Claims a lane has ready, at least and at most.
_LEAST_READY, _MOST_READY = 16, 512
#: Of the most that were in flight, this much is remembered with each request.
_FORGETS = 0.99

_PACE_MARKS = 30


class Pace:
    """How many requests reach their end a second, over the last half minute."""

    def __init__(self) -> None:
        self.settled = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=_PACE_MARKS)

    def tick(self, now: float) -> None:
        """Mark where things stand; called about once a second."""
        self._marks.append((now, self.settled))

    def per_second(self) -> float:
        """0.0 until something is known."""
        if len(self._marks) < 2:  # noqa: PLR2004 - two marks make a span
            return 0.0
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return (after - before) / (end - start)


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A base URL and how it fares."""

    id: EndpointId
    base_url: str
    host: str
    breaker: Breaker = field(default_factory=Breaker)
    #: The probe that is out, if any: nothing else is sent until it comes back.
    probing: bool = False
    #: Set whenever the breaker may allow more than before.
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One lane at work. `ready` are claims in the order in which they shall go."""

    key: LaneKey
    stored: StoredLane
    endpoint: Endpoint
    ready: deque[Claim] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    #: How many were in flight lately: replies that come all at once leave none out for an instant.
    lately_out: float = 0.0
    #: The same with those whose answers were not on disk yet, of all lanes: a claim takes as long to be on disk.
    lately_unsettled: float = 0.0
    pause: PauseCause | None = None
    #: Monotonic seconds of the last success, and since when nothing but refusals and faults came back.
    answered_at: float = float("-inf")
    failing_since: float | None = None
    gate: asyncio.Task[None] | None = None

    @property
    def room(self) -> int:
        """How many more claims it should have ready; nothing until half of them are gone."""
        target = min(_MOST_READY, max(_LEAST_READY, 4 * round(self.lately_unsettled)))
        ready = len(self.ready)
        return target - ready if ready <= target // 2 else 0

    def goes_out(self, *, unsettled: int) -> None:
        """A request is sent while so many answers wait to be on disk."""
        self.in_flight += 1
        self.lately_out = max(self.in_flight, _FORGETS * self.lately_out)
        self.lately_unsettled = max(self.in_flight + unsettled, _FORGETS * self.lately_unsettled)

    def begin_failing(self, now: float) -> None:
        """A request came back refused or with a fault."""
        if self.failing_since is None:
            self.failing_since = now


@dataclass(slots=True, kw_only=True, eq=False)
class RouteRun:
    """A route at work, and when to ask the queue for it again."""

    route: Route
    lane: Lane
    #: Monotonic seconds; not asked before.
    ask_at: float = 0.0
    #: The queue had nothing more of it, not even for later.
    dry: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class JobRun:
    """A job at work."""

    job: Job
    routes: list[RouteRun] = field(default_factory=list)
    #: None: it could not be made, and the job is paused.
    sender: Sender | None = None
    #: Claims in hand: ready, in flight, or waiting for their commit.
    held: int = 0
    #: A pause of this job alone.
    pause: PauseCause | None = None
    pace: Pace = field(default_factory=Pace)
    #: Cancelled, or no longer wanted: what is in flight ends, nothing more is claimed.
    dropped: bool = False
    #: Monotonic seconds; its end is not looked for before.
    look_at: float = 0.0
    #: Monotonic seconds up to which the time worked on it is accounted for; None: nothing of it yet.
    active_to: float | None = None
    #: When last looked at, nothing of it could be claimed, also not alone: the rest is behind a pause.
    is_stuck: bool = False

    def take_active_us(self, now: float) -> int:
        """Microseconds since this was last asked; what goes by in a pause is not work."""
        since, self.active_to = self.active_to, now
        return 0 if since is None or self.is_paused else int((now - since) * 1e6)

    @property
    def is_wanted(self) -> bool:
        """Whether requests of it may be claimed."""
        return self.pause is None and not self.dropped

    @property
    def lanes(self) -> set[Lane]:
        """The lanes of its routes."""
        return {route.lane for route in self.routes}

    @property
    def is_dry(self) -> bool:
        """Whether the queue has nothing for it, but perhaps what runs alone, and nothing is in hand."""
        return self.held == 0 and all(route.dry for route in self.routes)

    @property
    def is_spent(self) -> bool:
        """The same of what is not behind a pause."""
        return self.held == 0 and all(route.dry or route.lane.pause is not None for route in self.routes)

    @property
    def is_paused(self) -> bool:
        """Whether all that is left of it waits for a person."""
        return self.held == 0 and (self.pause is not None or (self.is_stuck and self.is_spent))


class Untold:
    """`ports.Flights` where nobody asks later what was out."""

    def begin(self, claim: Claim) -> None:
        """See `ports.Flights`."""

    def record(self) -> None:
        """See `ports.Flights`."""

    def end(self, claims: Iterable[Claim]) -> None:
        """See `ports.Flights`."""


@dataclass(slots=True, kw_only=True)
class State:
    """Everything in hand."""

    jobs: dict[JobId, JobRun] = field(default_factory=dict)
    routes: dict[RouteId, RouteRun] = field(default_factory=dict)
    lanes: dict[LaneKey, Lane] = field(default_factory=dict)
    endpoints: dict[EndpointId, Endpoint] = field(default_factory=dict)
    #: Bytes of the bodies of all claims in hand.
    held_bytes: int = 0
    #: Requests that are out.
    flying: dict[RequestId, Claim] = field(default_factory=dict)
    flights: Flights = field(default_factory=Untold)
    #: A request that runs by itself, as several holders died with it: nothing else is claimed meanwhile.
    alone: RequestId | None = None
    #: How often a request was refused while others of its lane were answered.
    refusals: Counter[RequestId] = field(default_factory=Counter)
    #: Set when the intake has something to look at.
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def in_flight(self) -> int:
        """How many requests are out."""
        return len(self.flying)

    def take(self, claim: Claim) -> None:
        """A claim came into hand."""
        job = self.jobs[claim.job_id]
        job.held += 1
        job.is_stuck = False
        self.held_bytes += len(claim.body)

    def depart(self, claim: Claim) -> None:
        """A claim goes out."""
        self.flying[claim.request_id] = claim
        self.flights.begin(claim)

    def let_go(self, claim: Claim) -> None:
        """A claim's settlement is on disk."""
        self.jobs[claim.job_id].held -= 1
        self.held_bytes -= len(claim.body)
        if self.alone == claim.request_id:
            self.alone = None
            self.jobs[claim.job_id].look_at = 0.0

    def count(self, settled: Iterable[SettledIds]) -> None:
        """Requests reached their end."""
        for each in settled:
            job = self.jobs.get(each.job_id)
            if job is not None:
                job.pace.settled += len(each.completed) + len(each.dead_lettered)

    @property
    def is_over(self) -> bool:
        """Whether no job can go on."""
        return all(job.is_paused for job in self.jobs.values())
