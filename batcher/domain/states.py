"""The closed sets of words: states, kinds, scopes and modes. The database repeats them as CHECKs."""

from enum import IntFlag, StrEnum


class RequestState(StrEnum):
    """The state of a request (docs/architecture.md#states-of-a-request)."""

    #: Waits to be claimed; a claim, a cache hit, its leader or a cancel moves it on.
    PENDING = "pending"
    #: A holder has it; its settlement, or the rescue of a dead holder, moves it on.
    CLAIMED = "claimed"
    #: Answered; nothing moves it on.
    COMPLETED = "completed"
    #: Failed permanently; `dlq retry` and `dlq discard` move it on.
    DEAD_LETTERED = "dead_lettered"
    #: Given up by a person; nothing moves it on.
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """The state of a job in the store; `ShownState` is what people see."""

    #: Its lines are still being loaded, and it is invisible. The last transaction of the submission opens it.
    SUBMITTING = "submitting"
    #: Has requests that are not settled.
    OPEN = "open"
    #: Every request is settled; `dlq retry` opens it again.
    COMPLETED = "completed"
    #: A person cancelled it.
    CANCELLED = "cancelled"


class ShownState(StrEnum):
    """The state of a job as commands show it."""

    #: Stored, never run.
    PENDING = "pending"
    #: A live runner works on it.
    RUNNING = "running"
    #: It has been run, is not finished, and no live runner works on it.
    INTERRUPTED = "interrupted"
    #: All its unfinished requests are behind a pause.
    PAUSED = "paused"
    #: Every request is settled.
    COMPLETED = "completed"
    #: Cancelled by a person.
    CANCELLED = "cancelled"


class FailureKind(StrEnum):
    """What a failure calls for."""

    #: A refusal by a rate limit: the lane cools down, and no attempt is used.
    RATE_LIMITED = "rate_limited"
    #: This request backs off and is retried, within its attempts.
    TRANSIENT = "transient"
    #: A dead letter.
    PERMANENT = "permanent"
    #: A person must act: sending pauses, and the request goes back without using an attempt.
    BLOCKED = "blocked"


class AttemptKind(StrEnum):
    """How a recorded attempt ended: a success, a failure of a kind, or lost because its holder died."""

    SUCCESS = "success"
    RATE_LIMITED = "rate_limited"
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    BLOCKED = "blocked"
    #: The holder died between the claim and the settlement; whether it was sent is unknown.
    LOST = "lost"


class FaultKind(StrEnum):
    """Why there is no HTTP reply."""

    #: The host's name does not resolve.
    DNS = "dns"
    #: Nothing listens at the address, or the network is unreachable.
    REFUSED = "connection_refused"
    #: The TLS handshake failed: certificate, name or protocol.
    TLS = "tls"
    #: No connection within the connect timeout.
    CONNECT_TIMEOUT = "connect_timeout"
    #: The request was sent and no complete reply arrived in time; the provider may have billed it.
    TIMEOUT = "timeout"
    #: The connection broke after the request was sent and before the reply was complete.
    RESET = "connection_reset"
    #: The server closed a kept-alive connection before the first byte of a reply.
    STALE_CONNECTION = "stale_connection"
    #: The reply is larger than the cap.
    REPLY_TOO_LARGE = "reply_too_large"
    #: The reply is not HTTP, or its encoding is broken.
    PROTOCOL = "protocol_error"
    #: A fault of this machine: no file descriptors, no memory, our own shutdown. It never uses an attempt.
    LOCAL = "local"


class PauseScope(StrEnum):
    """What a pause stops."""

    ENDPOINT = "endpoint"
    KEY = "key"
    LANE = "lane"
    #: One path and model of one job.
    ROUTE = "route"
    JOB = "job"


class PauseReason(StrEnum):
    """Why a person must act."""

    CREDENTIALS = "credentials"
    QUOTA = "quota"
    SPEND_CAP = "spend_cap"
    ENDPOINT = "endpoint"
    MODEL = "model"
    #: Row after row fails for one cause.
    SAME_FAILURE = "same_failure"
    #: Answer after answer misses the format that its request asks for.
    FORMAT = "format"


class CacheMode(StrEnum):
    """Which rows with the same body share one answer."""

    #: All of them.
    ALL = "all"
    #: Embeddings, moderations, and requests with temperature 0 or a seed.
    DETERMINISTIC = "deterministic"
    #: None: every row is sent.
    OFF = "off"


class ChargeRule(StrEnum):
    """How a provider charges a request's tokens at admission (docs/providers.md#rate-limit-headers)."""

    #: Prompt plus maximum output (Azure); always safe.
    SUM = "sum"
    #: The larger of prompt and maximum output (as OpenAI documents).
    MAX = "max"
    #: The prompt at the start, output as it is produced (Anthropic).
    PRODUCED = "produced"


class RequestEnd(StrEnum):
    """How a request that was admitted ended, as far as its lane's limits are concerned."""

    ANSWERED = "answered"
    #: By a rate limit.
    REFUSED = "refused"
    #: It got no answer in time, although others of its endpoint did.
    TIMED_OUT = "timed_out"
    #: It is larger than the limit itself, so nothing was charged.
    TOO_LARGE = "too_large"
    #: This machine had no file descriptor for it: too many are in flight over all lanes.
    NO_DESCRIPTOR = "no_descriptor"
    #: Anything else: an error, a broken connection, our own shutdown.
    FAILED = "failed"


class RefusalCause(StrEnum):
    """What a refusal says there was too much of."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    #: Concurrent requests, or the server is busy.
    IN_FLIGHT = "in_flight"
    #: It is a 503 of a lane that answers others: a limit, a full queue, or chance.
    BUSY = "busy"
    #: A daily limit, of requests or tokens.
    DAY = "day"
    #: It does not say.
    UNSAID = "unsaid"
    #: It does not say, and the request was refused before: that says more about this request than about a rate.
    AGAIN = "again"


class LimitSource(StrEnum):
    """Where a lane's limits come from."""

    GIVEN = "given"
    ANNOUNCED = "announced"
    LEARNED = "learned"


class AnswerMark(IntFlag):
    """What is odd about an answer that is delivered all the same."""

    #: Cut at its token limit.
    TRUNCATED = 1
    #: Cut before its first word: all its tokens went into reasoning.
    EMPTY = 2
    #: It could not be validated against the requested format.
    UNCHECKED = 4
    #: A format was requested, and the job validates nothing. Kept in the cache alone: it serves no job that does.
    UNVALIDATED = 8
