"""A job as the store keeps it, and as people see it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from batcher.domain.ids import EndpointId, JobId
from batcher.domain.lanes import LaneKey
from batcher.domain.messages import Message, Words
from batcher.domain.settings import JobSettings
from batcher.domain.states import AnswerMark, JobState, PauseScope


class Job(Struct, frozen=True, kw_only=True):
    """One submission of a job file. Times are UTC microseconds."""

    id: JobId
    public_id: str
    name: str
    state: JobState
    #: Whether a person wants it to run now.
    wanted: bool
    endpoint_id: EndpointId
    base_url: str
    #: Which answers of the base URL it may share: see `config.answer_scope`.
    answer_scope: str = ""
    #: The endpoint whose answers it shares: that of its own, unless endpoints are set to be equal.
    cache_scope: EndpointId
    key_name: str
    settings: JobSettings
    settings_version: int
    source_name: str
    source_path: str | None
    output_path: str | None
    total: int
    #: The range of its requests' ids; None if no line was valid.
    first_request: int | None
    last_request: int | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    #: Microseconds during which runners worked on it.
    active_us: int


class Counts(Struct, frozen=True, kw_only=True):
    """Counts of a job's requests. `total` is always the sum of the states (docs/reliability.md#invariants, I1)."""

    total: int = 0
    pending: int = 0
    claimed: int = 0
    completed: int = 0
    dead_lettered: int = 0
    cancelled: int = 0
    #: Answered without a request of their own.
    cached: int = 0
    #: Requests sent.
    attempts: int = 0
    #: Answers that were delivered although something is odd: see `AnswerMark`.
    truncated: int = 0
    empty: int = 0
    unchecked: int = 0
    rate_limited: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    #: Lines that `--skip-invalid` skipped.
    rejected: int = 0

    @property
    def unfinished(self) -> int:
        """Requests that are not settled."""
        return self.pending + self.claimed


class JobTotals(Struct, kw_only=True):
    """What is counted of a job, or how much of it changes; the fields are the columns of `job_counts`."""

    pending: int = 0
    claimed: int = 0
    completed: int = 0
    dead_lettered: int = 0
    cancelled: int = 0
    #: Answered without a request of their own.
    cached: int = 0
    #: Attempt numbers that were given to claims.
    sends: int = 0
    truncated: int = 0
    empty: int = 0
    unchecked: int = 0
    #: Sums over attempts from here on. `never_sent`: no connection was made.
    rate_limited: int = 0
    never_sent: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total(self) -> int:
        """All rows: each is in one state."""
        return self.pending + self.claimed + self.completed + self.dead_lettered + self.cancelled

    def add_marks(self, marks: int, rows: int = 1) -> None:
        """Count rows whose answers have these marks (`AnswerMark`)."""
        self.truncated += rows * bool(marks & AnswerMark.TRUNCATED)
        self.empty += rows * bool(marks & AnswerMark.EMPTY)
        self.unchecked += rows * bool(marks & AnswerMark.UNCHECKED)


class Pause(Struct, frozen=True, kw_only=True):
    """A pause in force. `ref` names what is paused; its format is documented at `pauses.ref` in the schema."""

    scope: PauseScope
    ref: str
    reason: str
    message: Words
    fix: Message
    since: int


def lane_key(job: Job, model: str) -> LaneKey:
    """Return the lane of the job's requests for a model: that of the default tier, whichever their bodies name."""
    return LaneKey(endpoint_id=job.endpoint_id, key_name=job.key_name, model=model)


def key_ref(endpoint_id: EndpointId, key_name: str) -> str:
    """Return the `ref` of a key's pause. The endpoint is part of it, as one variable may hold keys for several."""
    return f"{endpoint_id}:{key_name}"


class RunnerSnapshot(Struct, frozen=True, kw_only=True):
    """What a runner has in hand at one instant. It is the same from the process itself and from the store.

    Its lanes are shown by themselves (`LaneView`): there may be thousands.
    """

    jobs: Sequence[JobId]
    in_flight: int
    #: Requests of a job settled per second, recently.
    rates: Mapping[JobId, float]
    #: Requests of a job in flight; a job that has none is left out.
    sending: Mapping[JobId, int] = {}
    #: Base URLs to which sending has stopped in an outage.
    outages: Sequence[str] = ()
    #: Marks of the credentials that are sent, by job: a process that has others compares them.
    keys: Mapping[JobId, str] = {}


class Runner(Struct, frozen=True, kw_only=True):
    """The process that runs the store's jobs, as of its last heartbeat."""

    id: int
    pid: int | None
    started_at: int
    heartbeat_at: int
    #: What it had in hand then; None before the first, and if another version wrote it in another form.
    snapshot: RunnerSnapshot | None


class Orders(Struct, frozen=True, kw_only=True):
    """Which jobs the runner is to run, as the store says."""

    #: Wanted, unfinished jobs with the versions of their settings, oldest first.
    jobs: dict[JobId, int]
    #: Another number than before: another process has written to the store.
    others_wrote: int = 0
    #: Whether a process with other credentials waits to run one of them in place of this runner.
    hand_over: bool = False
