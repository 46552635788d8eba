"""What is done about an outcome, and the record of the attempt that goes with it."""

from msgspec import Struct

from batcher.domain.exchange import Reply
from batcher.domain.ids import LaneId
from batcher.domain.outcomes import Usage
from batcher.domain.requests import Claim
from batcher.domain.states import AttemptKind


class Complete(Struct, frozen=True, kw_only=True):
    """The answer is stored; followers share it."""

    reply: Reply
    usage: Usage
    provider_request_id: str | None


class Requeue(Struct, frozen=True, kw_only=True):
    """Back to pending: at once (`available_at` None, its place in file order kept) or at a UTC time in µs."""

    available_at: int | None
    #: Whether an attempt is spent: refusals, pauses and local faults spend none.
    spent: bool
    #: Whether it was a timeout of a sent request (retried once: it may have been billed).
    timeout: bool = False


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Failed for good, kept with its whole history; followers share its fate."""

    kind: str
    code: str


class Release(Struct, frozen=True, kw_only=True):
    """Never sent: the claim and the number of the send are given back."""


Decision = Complete | Requeue | DeadLetter | Release


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """What is kept of one sending, for good. Times are UTC microseconds."""

    lane_id: LaneId
    #: None: it never left, as no connection came about.
    sent_at: int | None
    ended_at: int
    status: int | None
    kind: AttemptKind
    code: str | None
    message: str | None
    retry_after_us: int | None
    provider_request_id: str | None
    usage: Usage
    #: The provider's reply, cut; kept of failures only.
    reply: bytes | None


class Settlement(Struct, frozen=True, kw_only=True):
    """One claim's end. `attempt` is None where nothing was sent."""

    claim: Claim
    decision: Decision
    attempt: AttemptRecord | None
