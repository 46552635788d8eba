"""What is done about an outcome, and the record of the attempt that goes with it."""

from msgspec import Struct

from batcher.domain.exchange import Reply
from batcher.domain.ids import LaneId
from batcher.domain.outcomes import Usage
from batcher.domain.requests import Claim
from batcher.domain.states import AnswerMark, AttemptKind


class Complete(Struct, frozen=True, kw_only=True):
    """The answer is stored, and followers share it."""

    reply: Reply
    usage: Usage
    provider_request_id: str | None
    #: What is odd about it.
    marks: AnswerMark = AnswerMark(0)


class Requeue(Struct, frozen=True, kw_only=True):
    """Back to pending: at once (`available_at` None; it keeps its place in file order), or at a UTC time in µs."""

    available_at: int | None
    #: Whether it uses up an attempt: refusals, pauses and local faults do not.
    uses_attempt: bool
    #: Whether a sent request timed out. It is retried only once, since the provider may have billed it.
    timeout: bool = False


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Failed permanently, kept with its whole history; followers are dead-lettered with it."""

    kind: str
    code: str


class Release(Struct, frozen=True, kw_only=True):
    """Never sent: the claim and its attempt number are given back."""


Decision = Complete | Requeue | DeadLetter | Release


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """The permanent record of one attempt. Times are UTC microseconds."""

    lane_id: LaneId
    #: None: it was never sent, because no connection was made.
    sent_at: int | None
    ended_at: int
    status: int | None
    kind: AttemptKind
    code: str | None
    message: str | None
    retry_after_us: int | None
    provider_request_id: str | None
    usage: Usage
    #: The provider's reply, truncated; kept for failures only.
    reply: bytes | None


class Settlement(Struct, frozen=True, kw_only=True):
    """The end of one claim. `attempt` is None if nothing was sent."""

    claim: Claim
    decision: Decision
    attempt: AttemptRecord | None
