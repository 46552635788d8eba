"""What a reply means: success, or failure of a kind. Replies, outcomes and settlements are three types."""

from msgspec import Struct

from batcher.domain.messages import Message, Words
from batcher.domain.states import AnswerMark, FailureKind, PauseReason, PauseScope, RefusalCause

#: Making one of these takes a microsecond.
_UNMARKED = AnswerMark(0)


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them, and at which service tier; None if it did not say.

    Providers count differently; what the counts mean here is in docs/providers.md#usage-objects.
    """

    #: All input, cached or not.
    input_tokens: int | None = None
    #: Of the input, what the provider served from its cache, and what it wrote into it.
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    #: All output, reasoning included.
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    #: The tier that the request's body asks for, and the one that the reply says it was billed at.
    tier_sent: str | None = None
    tier_billed: str | None = None
    #: What the provider itself says that the request cost, in US dollars.
    cost_usd: float | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether it states nothing but input and output."""
        return (
            self.tier_billed is None
            and self.cached_input_tokens is None
            and self.reasoning_tokens is None
            and self.cache_write_tokens is None
            and self.tier_sent is None
            and self.cost_usd is None
        )


class PauseCause(Struct, frozen=True, kw_only=True):
    """Why sending stops until a person acts, and how to fix it."""

    scope: PauseScope
    reason: PauseReason
    message: Words
    fix: Message
    #: What its failures have in common. Resuming after a pause of a route confirms that such rows are at fault.
    failure: str | None = None


class Success(Struct, frozen=True, kw_only=True):
    """An answer to deliver."""

    usage: Usage
    #: The answer was cut at its token limit (`finish_reason: length`): delivered, counted, not retried. See
    #: docs/providers.md#answers.
    truncated: bool = False
    #: It was cut before its first word.
    empty: bool = False
    #: A format was requested and the answer could not be validated against it: delivered and counted.
    unchecked: bool = False
    #: A format was requested, and the job validates nothing.
    unvalidated: bool = False

    @property
    def marks(self) -> AnswerMark:
        """What is odd about it."""
        marks = _UNMARKED
        if self.truncated:
            marks |= AnswerMark.TRUNCATED
        if self.empty:
            marks |= AnswerMark.EMPTY
        if self.unchecked:
            marks |= AnswerMark.UNCHECKED
        if self.unvalidated:
            marks |= AnswerMark.UNVALIDATED
        return marks


class Failure(Struct, frozen=True, kw_only=True):
    """An attempt that produced no answer."""

    kind: FailureKind
    #: The provider's own code if it sent one, else ours: `http_502`, `timeout`, `invalid_json`…
    code: str
    message: str
    usage: Usage = Usage()
    #: When the server said to come back, in microseconds after the reply; None if it did not say.
    retry_after_us: int | None = None
    #: The cause of a pause; set where `kind` is BLOCKED.
    pause: PauseCause | None = None
    #: Most attempts for this cause, if fewer than the job allows: 2 for an empty answer.
    most_attempts: int | None = None
    #: `slow_down` and ramp limits: traffic must ramp up again from a low rate.
    restart_ramp: bool = False
    #: What a refusal says there was too much of; set where `kind` is RATE_LIMITED.
    cause: RefusalCause | None = None
    #: The parameter at fault, "" if the provider names none.
    param: str = ""
    #: No API answered, but something in its place, such as a gateway without a backend: part of an outage.
    outage: bool = False


Outcome = Success | Failure
