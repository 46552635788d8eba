"""What a fact means: success, or failure of a kind. Facts, meanings and actions are three types."""

from msgspec import Struct

from batcher.domain.states import FailureKind, PauseReason, PauseScope


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


class PauseCause(Struct, frozen=True, kw_only=True):
    """Why sending stops until a person acts, and what would mend it."""

    scope: PauseScope
    reason: PauseReason
    message: str
    fix: str


class Success(Struct, frozen=True, kw_only=True):
    """An answer to deliver."""

    usage: Usage
    #: `finish_reason: length` and its kin: delivered, counted, not retried (PROVIDERS §1.12).
    truncated: bool = False


class Failure(Struct, frozen=True, kw_only=True):
    """An attempt that gave no answer."""

    kind: FailureKind
    #: The provider's own code where it gave one, else ours: `http_502`, `timeout`, `invalid_json`…
    code: str
    message: str
    usage: Usage = Usage()
    #: What the server said about when to come back, in microseconds from the reply; None: it did not say.
    retry_after_us: int | None = None
    #: The cause of a pause; set where `kind` is BLOCKED.
    pause: PauseCause | None = None
    #: Most attempts for this cause, where fewer than the job allows: 2 for an empty answer.
    most_attempts: int | None = None
    #: `slow_down` and ramp limits: traffic must grow anew from little.
    restart_ramp: bool = False
    #: A refusal by a daily limit: the wait is visible as a cool-down, not as load.
    daily: bool = False


Outcome = Success | Failure
