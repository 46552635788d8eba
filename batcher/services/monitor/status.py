"""A job's status: the JSON of docs/json.md, from the store and what the live runner had in hand last."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from batcher.domain.ids import EndpointId, RouteId
from batcher.domain.jobs import Counts, Job, Pause, Runner, key_ref, lane_key
from batcher.domain.lanes import LaneKey, LaneView, StoredLane
from batcher.domain.messages import Words
from batcher.domain.settings import limits_for
from batcher.domain.states import JobState, PauseScope, ShownState
from batcher.policy.rate_meter import seconds_left
from batcher.policy.wording.url_secrets import shown_base_url
from batcher.ports import Store
from batcher.services.monitor.live_runner import in_flight, live_runner
from batcher.services.monitor.stored_lanes import resting
from batcher.services.results.places import errors_beside
from batcher.store.jobs import jobs
from batcher.store.queue import lanes, pauses, runners
from batcher.store.reports import job_counts


class PausedStatus(TypedDict):
    """Why it waits for a person, and how to end that."""

    reason: str
    message: Words
    fix: Words
    since: str


class LaneStatus(Struct, frozen=True, kw_only=True):
    """A lane of the job."""

    endpoint: str
    model: str
    rpm: float | None
    tpm: float | None
    source: str | None
    binding: str | None
    utilization: float | None
    in_flight: int
    cooling_until: str | None
    paused: PausedStatus | None


class TokenTotals(Struct, frozen=True, kw_only=True):
    """Tokens of all attempts, as providers counted them."""

    input: int
    output: int
    total: int


class JobStatus(Struct, frozen=True, kw_only=True):
    """`batcher status JOB --json`."""

    job: int
    name: str
    state: ShownState
    #: The base URL, with `…` in place of what may be a key, and the variable that holds the key.
    endpoint: str
    key_env: str
    paused: PausedStatus | None
    counts: dict[str, int]
    cached: int
    attempts: int
    #: Requests in flight now. The rest of `counts.claimed` is held by the runner and not sent yet.
    in_flight: int
    rate_limited: int
    #: Answers cut at their token limit, those of them that are empty, and answers that could not be validated.
    truncated: int
    empty: int
    unchecked: int
    rejected: int
    tokens: TokenTotals
    cost_usd: float | None
    lanes: list[LaneStatus]
    source: str
    output: str | None
    #: The errors file beside `output`, if the job has ended and has rows without an answer.
    errors: str | None
    runner_pid: int | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    elapsed_seconds: float
    eta_seconds: float | None


def timestamp(us: int | None) -> str | None:
    """Return UTC microseconds as RFC 3339 UTC."""
    if us is None:
        return None
    return datetime.fromtimestamp(us / 1e6, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: Jobs that are read on one snapshot: none is kept for long.
_JOBS_AT_ONCE = 100


class _LanesOfKeys:
    """The lanes of each key at each endpoint, read once however many jobs share them."""

    def __init__(self) -> None:
        self._stored: dict[tuple[EndpointId, str], dict[LaneKey, StoredLane]] = {}
        self._seen: dict[tuple[EndpointId, str], dict[LaneKey, LaneView]] = {}

    def stored(self, connection: Any, job: Job) -> dict[LaneKey, StoredLane]:  # noqa: ANN401 - of the store
        """Return what the store remembers of them."""
        key = (job.endpoint_id, job.key_name)
        if key not in self._stored:
            self._stored[key] = {lane.key: lane for lane in lanes.of_endpoint(connection, *key)}
        return self._stored[key]

    def seen(self, connection: Any, job: Job) -> dict[LaneKey, LaneView]:  # noqa: ANN401 - of the store
        """Return how the latest runner sees them."""
        key = (job.endpoint_id, job.key_name)
        if key not in self._seen:
            self._seen[key] = runners.lane_views(connection, *key)
        return self._seen[key]


def job_status(database: Store, job: Job, *, now: int, runner_lives: bool | None = None) -> JobStatus:
    """Return the job's status at `now`, UTC microseconds.

    `runner_lives`: whether a runner lives, if the caller knows; None tests the runner's lock.
    """
    runner = live_runner(database, is_live=runner_lives)
    with database.read() as connection:
        return _job_status(connection, job, runner, _LanesOfKeys(), now=now)


def job_statuses(database: Store, of: Sequence[Job], *, now: int) -> list[JobStatus]:
    """Return the status of each of the jobs; what they share is read once."""
    runner, known = live_runner(database), _LanesOfKeys()
    found: list[JobStatus] = []
    for first in range(0, len(of), _JOBS_AT_ONCE):
        with database.read() as connection:
            some = of[first : first + _JOBS_AT_ONCE]
            found += (_job_status(connection, job, runner, known, now=now) for job in some)
    return found


def _job_status(
    connection: Any,  # noqa: ANN401 - of the store
    job: Job,
    runner: Runner | None,
    known: _LanesOfKeys,
    *,
    now: int,
) -> JobStatus:
    job = jobs.get(connection, job.id)
    counts = job_counts.counts(connection, job)
    keys = {route.model: lane_key(job, route.model) for route in jobs.routes_of(connection, job)}
    in_force = pauses.in_force(connection)
    left = job_counts.unfinished_routes(connection, job) if counts.unfinished and in_force else []
    stored = known.stored(connection, job)
    seen = known.seen(connection, job) if runner is not None else {}
    paused = [(model, _pause_of(job, stored.get(keys[model]), in_force, route_id)) for route_id, model in left]
    pause = _pause_of_all([each for _, each in paused])
    state = shown_state(job, counts, paused=pause is not None, live=_is_run_by(runner, job))
    return JobStatus(
        job=job.id,
        name=job.name,
        state=state,
        endpoint=shown_base_url(job.base_url),
        key_env=job.key_name,
        paused=_paused_json(pause, job) if state is ShownState.PAUSED else None,
        counts=_counts_json(counts),
        cached=counts.cached,
        attempts=counts.attempts,
        in_flight=in_flight(runner, job.id, counts.claimed),
        rate_limited=counts.rate_limited,
        truncated=counts.truncated,
        empty=counts.empty,
        unchecked=counts.unchecked,
        rejected=counts.rejected,
        tokens=_token_totals(counts),
        cost_usd=None,
        lanes=[
            _lane_status(job, key, seen.get(key), stored.get(key), _pause_of_model(paused, key.model), now=now)
            for _, key in sorted(keys.items())
        ],
        source=job.source_name,
        output=job.output_path,
        errors=_errors_file(job, counts),
        runner_pid=runner.pid if runner and _is_run_by(runner, job) else None,
        created_at=timestamp(job.created_at) or "",
        started_at=timestamp(job.started_at),
        finished_at=None if job.state is JobState.OPEN else timestamp(job.finished_at),
        elapsed_seconds=round(job.active_us / 1e6, 3),
        eta_seconds=_eta(job, counts, runner),
    )


def _token_totals(counts: Counts) -> TokenTotals:
    sent, received = counts.input_tokens, counts.output_tokens
    return TokenTotals(input=sent, output=received, total=sent + received)


def _errors_file(job: Job, counts: Counts) -> str | None:
    failed = counts.dead_lettered or counts.rejected or (counts.cancelled and job.state is JobState.CANCELLED)
    is_over = job.state is not JobState.OPEN
    return errors_beside(job.output_path) if failed and is_over and job.output_path is not None else None


def _is_run_by(runner: Runner | None, job: Job) -> bool:
    return runner is not None and job.wanted


def shown_state(job: Job, counts: Counts, *, paused: bool, live: bool) -> ShownState:
    """Return the state to show: running only while a live runner works on the job."""
    if job.state is JobState.CANCELLED:
        return ShownState.CANCELLED
    if job.state is JobState.COMPLETED or (counts.total and not counts.unfinished):
        return ShownState.COMPLETED
    if paused:
        return ShownState.PAUSED
    if live:
        return ShownState.RUNNING
    # A finished job that was reopened has an end, and no start after it.
    is_fresh = job.started_at is None or job.finished_at is not None
    return ShownState.PENDING if is_fresh else ShownState.INTERRUPTED


def _pause_of(
    job: Job, lane: StoredLane | None, in_force: list[Pause], route_id: RouteId | None = None
) -> Pause | None:
    refs = {
        (PauseScope.ENDPOINT, str(job.endpoint_id)),
        (PauseScope.KEY, key_ref(job.endpoint_id, job.key_name)),
        (PauseScope.LANE, str(lane.id if lane else None)),
        (PauseScope.ROUTE, str(route_id)),
        (PauseScope.JOB, str(job.id)),
    }
    return next((pause for pause in in_force if (pause.scope, pause.ref) in refs), None)


def _pause_of_all(found: list[Pause | None]) -> Pause | None:
    """Return a pause only if every route with unfinished rows is paused."""
    return found[0] if found and all(found) else None


def _pause_of_model(paused: list[tuple[str, Pause | None]], model: str) -> Pause | None:
    """Return a model's pause, as far as rows of it are left."""
    return _pause_of_all([each for of, each in paused if of == model])


def _paused_json(pause: Pause | None, job: Job) -> PausedStatus | None:
    if pause is None:
        return None
    since = timestamp(pause.since) or ""
    return {
        "reason": pause.reason,
        "message": pause.message,
        "fix": pause.fix.replaced(job=job.id),
        "since": since,
    }


def _counts_json(counts: Counts) -> dict[str, int]:
    return {
        "total": counts.total,
        "pending": counts.pending,
        "claimed": counts.claimed,
        "completed": counts.completed,
        "dead_lettered": counts.dead_lettered,
        "cancelled": counts.cancelled,
    }


def _lane_status(
    job: Job, key: LaneKey, working: LaneView | None, stored: StoredLane | None, pause: Pause | None, *, now: int
) -> LaneStatus:
    """Return the lane as the live runner sees it, otherwise from the store."""
    if working is not None and (working.cooling_until or 0) <= now:
        # The runner writes a lane when something happens to it, not when a cool-down ends.
        working = replace(working, cooling_until=None)
    shown = working or resting(stored, limits_for(job.settings, key.model), now=now)
    return LaneStatus(
        endpoint=shown_base_url(job.base_url),
        model=key.model,
        rpm=shown.rpm,
        tpm=shown.tpm,
        source=None if shown.source is None else shown.source.value,
        binding=shown.binding,
        utilization=working.utilization if working else None,
        in_flight=working.in_flight if working else 0,
        cooling_until=timestamp(shown.cooling_until),
        paused=_paused_json(pause, job),
    )


def _eta(job: Job, counts: Counts, runner: Runner | None) -> float | None:
    if runner is None or runner.snapshot is None:
        return None
    left = seconds_left(counts.unfinished, runner.snapshot.rates.get(job.id, 0.0))
    return None if left is None else round(left, 1)
