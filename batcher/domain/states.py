"""The closed sets of words: states, kinds, scopes and modes. The database repeats them as CHECKs."""

from enum import StrEnum


class RequestState(StrEnum):
    """Where a request stands. DESIGN: pending → claimed → completed | dead_lettered | cancelled."""

    #: Waits to be claimed; a claim, a cache hit, its leader or a cancel moves it on.
    PENDING = "pending"
    #: A holder has it; its settlement, or the rescue of a dead holder, moves it on.
    CLAIMED = "claimed"
    #: Answered; nothing moves it on.
    COMPLETED = "completed"
    #: Failed for good; `dlq retry` and `dlq discard` move it on.
    DEAD_LETTERED = "dead_lettered"
    #: Given up by a person; nothing moves it on.
    CANCELLED = "cancelled"


class JobState(StrEnum):
    """What the store keeps about a job; `ShownState` is what people see."""

    #: Its lines are still being loaded; invisible. The last transaction of the submission opens it.
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
    #: Was run, is not finished, and no live runner works on it.
    INTERRUPTED = "interrupted"
    #: All its unfinished requests are behind a pause.
    PAUSED = "paused"
    #: Every request is settled.
    COMPLETED = "completed"
    #: Cancelled by a person.
    CANCELLED = "cancelled"


class FailureKind(StrEnum):
    """What a failure asks for."""

    #: A refusal: the lane cools down, nothing is spent.
    RATE_LIMITED = "rate_limited"
    #: This request backs off and tries again, within its attempts.
    TRANSIENT = "transient"
    #: A dead letter.
    PERMANENT = "permanent"
    #: A person must act: pause; the request goes back unspent.
    BLOCKED = "blocked"


class AttemptKind(StrEnum):
    """How a recorded attempt ended: a success, a failure of a kind, or a holder that died with it."""

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
    #: Nobody listens at the address, or the network cannot be reached.
    REFUSED = "connection_refused"
    #: The TLS handshake failed: certificate, name or protocol.
    TLS = "tls"
    #: No connection within the connect timeout.
    CONNECT_TIMEOUT = "connect_timeout"
    #: The request was sent and no whole reply came in time; the provider may have billed it.
    TIMEOUT = "timeout"
    #: The connection broke after the request was sent, before a whole reply came.
    RESET = "connection_reset"
    #: A kept-alive connection was closed by the server before the first byte of a reply.
    STALE_CONNECTION = "stale_connection"
    #: The reply is larger than the cap.
    REPLY_TOO_LARGE = "reply_too_large"
    #: The reply is not HTTP, or its encoding is broken.
    PROTOCOL = "protocol_error"
    #: This machine's fault: no file descriptors, no memory, own shutdown. Never spends an attempt.
    LOCAL = "local"


class PauseScope(StrEnum):
    """What a pause stops."""

    ENDPOINT = "endpoint"
    KEY = "key"
    LANE = "lane"
    JOB = "job"


class PauseReason(StrEnum):
    """Why a person must act."""

    CREDENTIALS = "credentials"
    QUOTA = "quota"
    SPEND_CAP = "spend_cap"
    ENDPOINT = "endpoint"
    MODEL = "model"


class CacheMode(StrEnum):
    """Which rows with the same body share one answer."""

    #: All of them.
    ALL = "all"
    #: Embeddings, moderations, and requests with temperature 0 or a seed.
    DETERMINISTIC = "deterministic"
    #: None: every row is sent.
    OFF = "off"


class ChargeRule(StrEnum):
    """How a provider charges a request's tokens at admission (PROVIDERS §2)."""

    #: Prompt plus maximal output (Azure); always safe.
    SUM = "sum"
    #: The larger of prompt and maximal output (OpenAI's words).
    MAX = "max"
    #: Prompt at the start, output as it is produced (Anthropic).
    PRODUCED = "produced"


class RefusedFor(StrEnum):
    """What a refusal says there was too much of."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    #: Requests at once, or the server is busy.
    IN_FLIGHT = "in_flight"
    #: A daily limit, of requests or tokens.
    DAY = "day"
    #: It does not say.
    UNSAID = "unsaid"
    #: It does not say, and the request was refused before: that says more about the request than about a rate.
    AGAIN = "again"


class LimitSource(StrEnum):
    """Where a lane's limits come from."""

    GIVEN = "given"
    ANNOUNCED = "announced"
    LEARNED = "learned"
