"""What a runner has in hand. Plain containers; the loops in the other modules act on them."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from batcher.domain.events import RequestsSettled
from batcher.domain.ids import EndpointId, JobId, RequestId, RouteId
from batcher.domain.jobs import Job
from batcher.domain.lanes import LaneKey, StoredLane
from batcher.domain.outcomes import Failure, PauseCause
from batcher.domain.requests import Claim, Route
from batcher.policy.rate_meter import RateMeter
from batcher.policy.retry.circuit_breaker import Breaker
from batcher.policy.retry.failure_run import FailureRun
from batcher.policy.retry.refusals import RowRefusals
from batcher.ports import InFlightLog, Sender
from batcher.worker.job_phase import TRANSITIONS, JobEvent, JobPhase, Remaining

#: Bytes of bodies in hand above which no more is claimed. One body of at most 64 MiB may come on top, which stays
#: below the store's 256 MiB (docs/architecture.md#the-store).
MOST_BYTES = 128 * 1024 * 1024

#: How many claims a lane keeps ready, at least and at most.
_LEAST_READY, _MOST_READY = 16, 512
#: Decay per request of the remembered maximum in flight.
_FORGETS = 0.99

#: How many lanes are looked at for each time that the busiest is asked for.
_LANES_A_QUESTION = 8

#: Names of the module, because they are compared for every claim: to look up a member costs 70 ns.
_WORKING, _STUCK = JobPhase.WORKING, JobPhase.STUCK

#: A wait that the provider named is a long one from this share of `--max-wait` on.
_LONG_WAIT = 0.25


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A base URL, as it may be shown, and the state of its circuit breaker."""

    id: EndpointId
    base_url: str
    host: str
    breaker: Breaker = field(default_factory=Breaker)
    #: Monotonic seconds of the last success in any of its lanes.
    answered_at: float = float("-inf")
    #: Whether a probe is in flight; until it comes back, nothing else is sent.
    probing: bool = False
    #: Set whenever the breaker may allow more than before.
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One lane at work. `ready` holds claims in the order in which they are to be sent."""

    key: LaneKey
    stored: StoredLane
    endpoint: Endpoint
    ready: deque[Claim] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    in_flight: int = 0
    #: Bytes of the bodies of its claims in hand.
    held_bytes: int = 0
    #: Recent requests in flight, as a decaying maximum: if all replies arrive at once, none is in flight for an
    #: instant.
    recent_in_flight: float = 0.0
    #: The same, including answers of all lanes that are not on disk yet: a claim takes as long to reach the disk.
    recent_unsettled: float = 0.0
    pause: PauseCause | None = None
    #: Monotonic seconds of the last success, and since when there were only refusals and faults.
    answered_at: float = float("-inf")
    failing_since: float | None = None
    #: Answers and refusals in this run.
    answers: int = 0
    refusals: int = 0
    #: 503s since the last success that were taken for refusals.
    busy: int = 0
    #: The last wait that the provider named: its end in monotonic seconds, and its length.
    named_wait: tuple[float, float] = (float("-inf"), 0.0)
    #: The last failure, whose words a pause repeats.
    last_failure: Failure | None = None
    gate: asyncio.Task[None] | None = None
    #: Whether something happened since the heartbeat last looked at it.
    touched: bool = True
    #: Routes of which one request at a time is sent, to learn whose fault their failures are, and whether the next
    #: one may be sent now.
    held: dict[RouteId, bool] = field(default_factory=dict)

    @property
    def next(self) -> Claim | None:
        """The first claim that may be sent, as far as its route says."""
        if not self.held:
            return self.ready[0] if self.ready else None
        return next((claim for claim in self.ready if self.held.get(claim.route_id, True)), None)

    def take(self, claim: Claim) -> None:
        """Remove a claim that is sent or settled from those that are ready."""
        if self.ready[0] is claim:
            self.ready.popleft()
        else:
            self.ready.remove(claim)

    @property
    def room(self) -> int:
        """Return how many more claims it should have ready; 0 until half of them are used up."""
        target = min(_MOST_READY, max(_LEAST_READY, 4 * round(self.recent_unsettled)))
        ready = len(self.ready)
        if self.held:
            # They wait for the verdict on their route, and others may be sent meanwhile.
            ready -= sum(claim.route_id in self.held for claim in self.ready)
        return target - ready if ready <= target // 2 else 0

    def record_sent(self, *, unsettled: int) -> None:
        """Record that a request is sent while `unsettled` answers wait to be on disk."""
        self.in_flight += 1
        self.touched = True
        self.recent_in_flight = max(self.in_flight, _FORGETS * self.recent_in_flight)
        self.recent_unsettled = max(self.in_flight + unsettled, _FORGETS * self.recent_unsettled)

    def silent_since(self, max_wait: float) -> float | None:
        """Return since when nothing was answered, if that is the provider's silence; None if it is not.

        A long wait that the provider named is not silence: it counts from its end. Short ones are no excuse, or a
        provider that always says "in a second" would never be silent.
        """
        end, length = self.named_wait
        if self.failing_since is None or length < _LONG_WAIT * max_wait:
            return self.failing_since
        return max(self.failing_since, end)

    def begin_failing(self, now: float) -> None:
        """Record that a request was refused or failed with a fault."""
        if self.failing_since is None:
            self.failing_since = now


@dataclass(slots=True, kw_only=True, eq=False)
class RouteRun:
    """A route at work, and when to ask the queue for it again."""

    route: Route
    lane: Lane
    #: Monotonic seconds; the queue is not asked before.
    ask_at: float = 0.0
    #: The queue had nothing more of it, not even for later.
    dry: bool = False
    #: Monotonic seconds at which the queue last gave nothing of it, and had something for soon.
    parked_at: float = float("-inf")
    #: Claims in hand, as `JobRun.held`.
    held: int = 0
    #: A pause of this route alone.
    pause: PauseCause | None = None
    #: How many of its requests were sent in this run, and before the job's settings last changed. What comes back
    #: of those shows nothing about the others.
    sends: int = 0
    sends_before: int = 0
    #: The failures that are undecided, and when it last answered.
    failures: FailureRun = field(default_factory=FailureRun)
    answered_at: float = float("-inf")

    @property
    def id(self) -> RouteId:
        """Its id in the store."""
        return self.route.id

    @property
    def is_paused(self) -> bool:
        """Return whether it waits for a person, by itself or with its lane."""
        return self.pause is not None or self.lane.pause is not None


@dataclass(slots=True, kw_only=True, eq=False)
class JobRun:
    """A job at work."""

    job: Job
    routes: list[RouteRun] = field(default_factory=list)
    #: None if it could not be made; then the job is paused.
    sender: Sender | None = None
    #: What the sender says about its key: see `ports.NamesKey`.
    key_place: str = ""
    missing_key: str = ""
    #: Claims in hand: ready, in flight, or waiting for their commit.
    held: int = 0
    phase: JobPhase = JobPhase.WORKING
    #: Requests that were settled in this run, and how fast.
    settled: int = 0
    pace: RateMeter = field(default_factory=RateMeter)
    #: Monotonic seconds before which it is not checked for completion.
    check_at: float = 0.0
    #: Monotonic seconds up to which working time is accounted for; None before the first.
    active_to: float | None = None

    def follow(self, event: JobEvent) -> bool:
        """Enter the phase that the event leads to; return whether it is another one."""
        before, self.phase = self.phase, TRANSITIONS[event][self.phase]
        return self.phase is not before

    def take_active_us(self, now: float) -> int:
        """Return the microseconds of work since the last call; paused time does not count."""
        since, self.active_to = self.active_to, now
        return 0 if since is None or self.is_paused else int((now - since) * 1e6)

    @property
    def is_wanted(self) -> bool:
        """Return whether its requests may be claimed."""
        return self.phase is _WORKING or self.phase is _STUCK

    @property
    def lanes(self) -> set[Lane]:
        """The lanes of its routes."""
        return {route.lane for route in self.routes}

    @property
    def remaining(self) -> Remaining:
        """Return what remains of it."""
        if self.held:
            return Remaining.MORE
        waiting = [route for route in self.routes if not route.dry]
        if not waiting:
            return Remaining.NOTHING
        return Remaining.HELD_BACK if all(route.is_paused for route in waiting) else Remaining.MORE

    @property
    def is_paused(self) -> bool:
        """Return whether all that is left of it waits for a person."""
        if self.phase is JobPhase.PAUSED:
            return self.held == 0
        return self.phase is _STUCK and self.remaining is not Remaining.MORE


class NoInFlightLog:
    """A `ports.InFlightLog` that records nothing, for runs in which no one asks later."""

    def begin(self, claim: Claim) -> None:
        """See `ports.InFlightLog`."""

    def record(self) -> None:
        """See `ports.InFlightLog`."""

    def end(self, claims: Iterable[Claim]) -> None:
        """See `ports.InFlightLog`."""


@dataclass(slots=True, kw_only=True)
class State:
    """Everything that the runner has in hand."""

    jobs: dict[JobId, JobRun] = field(default_factory=dict)
    #: The jobs that this runner was started for; the others were handed over by other processes.
    own: frozenset[JobId] = frozenset()
    routes: dict[RouteId, RouteRun] = field(default_factory=dict)
    lanes: dict[LaneKey, Lane] = field(default_factory=dict)
    endpoints: dict[EndpointId, Endpoint] = field(default_factory=dict)
    #: Bytes of the bodies of all claims in hand.
    held_bytes: int = 0
    #: The lanes whose bytes they count as. A job may change its lanes meanwhile.
    holding: dict[RequestId, Lane] = field(default_factory=dict)
    #: Requests in flight.
    sending: dict[RequestId, Claim] = field(default_factory=dict)
    flights: InFlightLog = field(default_factory=NoInFlightLog)
    #: A request that runs by itself because several holders died with it; nothing else is claimed meanwhile.
    alone: RequestId | None = None
    #: The refusals of requests that are not settled yet.
    refusals: dict[RequestId, RowRefusals] = field(default_factory=dict)
    #: How often requests that are not settled yet were refused for their key or address, and others were not.
    blocked_alone: dict[RequestId, int] = field(default_factory=dict)
    #: Set when a leader has ended and not all of its followers have.
    followers_left: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when the claimer has something to do.
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _most_recent: int = 0
    _until_looked: int = 0

    def recent_in_flight(self) -> int:
        """Return the most requests that any lane had in flight recently.

        It is asked for every request. With many lanes it may be some requests old, so that one question looks at a
        few lanes, however many there are.
        """
        self._until_looked -= 1
        if self._until_looked < 0:
            self._until_looked = len(self.lanes) // _LANES_A_QUESTION
            self._most_recent = max((round(lane.recent_in_flight) for lane in self.lanes.values()), default=0)
        return self._most_recent

    @property
    def in_flight(self) -> int:
        """Return how many requests are in flight."""
        return len(self.sending)

    def take(self, claim: Claim) -> None:
        """Record a claim that came into hand."""
        job = self.jobs[claim.job_id]
        job.held += 1
        if job.phase is _STUCK:
            job.follow(JobEvent.CLAIMED)
        route = self.routes[claim.route_id]
        route.held += 1
        lane = self.holding[claim.request_id] = route.lane
        lane.held_bytes += len(claim.body)
        self.held_bytes += len(claim.body)

    def begin_sending(self, claim: Claim) -> None:
        """Record that a claim is being sent."""
        self.sending[claim.request_id] = claim
        self.flights.begin(claim)

    def forget_body(self, claim: Claim) -> Claim:
        """Return the claim without its body, which counts as in hand no longer: it need not be sent again."""
        self.held_bytes -= len(claim.body)
        self.holding[claim.request_id].held_bytes -= len(claim.body)
        return replace(claim, body=b"")

    def release(self, claim: Claim) -> None:
        """Record that a claim's settlement is on disk."""
        self.jobs[claim.job_id].held -= 1
        self.routes[claim.route_id].held -= 1
        self.held_bytes -= len(claim.body)
        self.holding.pop(claim.request_id).held_bytes -= len(claim.body)
        if self.alone == claim.request_id:
            self.alone = None
            self.jobs[claim.job_id].check_at = 0.0

    def count(self, settled: Iterable[RequestsSettled]) -> None:
        """Count settled requests."""
        for each in settled:
            job = self.jobs.get(each.job_id)
            if each.followers_left:
                self.followers_left.set()
            if job is not None:
                job.settled += len(each.completed) + len(each.dead_lettered)

    @property
    def is_over(self) -> bool:
        """Return whether none of the runner's own jobs can go on; those that were handed over do not count."""
        return all(job.is_paused for job_id, job in self.jobs.items() if job_id in self.own)

    def lane_keys(self, jobs: Collection[JobId]) -> set[LaneKey]:
        """Return the lanes that these jobs use now."""
        return {lane.key for job_id, job in self.jobs.items() if job_id in jobs for lane in job.lanes}
