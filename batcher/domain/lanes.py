"""What a rate limit is attached to, what a request costs there, and what the provider says about it."""

from msgspec import Struct

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.states import ChargeRule, LimitSource


class LaneKey(Struct, frozen=True, kw_only=True):
    """(endpoint, name of the key, model, service tier): what a provider attaches a rate limit to."""

    endpoint_id: EndpointId
    key_name: str
    model: str
    #: "": the provider's default.
    tier: str = ""


class Charge(Struct, frozen=True, kw_only=True):
    """What a request takes from a lane's budget at admission, in tokens. It also counts as one request."""

    input_tokens: int
    output_tokens: int
    #: Whether the request states its maximum output; otherwise `output_tokens` is an estimate.
    bounded: bool = True
    #: Whether replies to its path usually count tokens, so that the estimate can be corrected.
    counted: bool = True


class TokenLimit(Struct, frozen=True, kw_only=True):
    """A token limit per minute that is certain: the user gave it, or the provider announced it in this run."""

    tpm: float
    source: LimitSource


class RateHints(Struct, frozen=True, kw_only=True):
    """What reply headers say about a lane's limits. None: not stated, or stated as unknown (0, -1).

    Sources: docs/providers.md#rate-limit-headers. Limits are per minute; resets are in seconds.
    """

    rpm: float | None = None
    remaining_requests: float | None = None
    reset_requests: float | None = None
    tpm: float | None = None
    remaining_tokens: float | None = None
    reset_tokens: float | None = None
    #: Requests per day (Groq's request headers; Cerebras' `-day`).
    rpd: float | None = None
    remaining_requests_day: float | None = None
    #: Tokens per day (Cerebras).
    tpd: float | None = None
    remaining_tokens_day: float | None = None
    #: Input and output tokens separately (Anthropic).
    input_tpm: float | None = None
    output_tpm: float | None = None


#: What the headers of most local servers say.
NO_HINTS = RateHints()


class LaneView(Struct, frozen=True, kw_only=True):
    """A lane's budget as `status` shows it."""

    key: LaneKey
    rpm: float | None
    tpm: float | None
    source: LimitSource
    #: The limit that binds now: rpm, tpm, input_tpm, output_tpm, concurrency, provider, day, or input (too few
    #: rows).
    binding: str
    #: Share of the binding limit in use, 0 to 1; None if nothing limits the lane.
    utilization: float | None
    in_flight: int
    #: UTC microseconds, or None.
    cooling_until: int | None


class DayBegins(Struct, frozen=True):
    """The UTC hours at which a provider's day starts: the earliest and the latest (they differ by summer time)."""

    earliest: int
    latest: int


class HourUse(Struct, frozen=True, array_like=True):
    """Use within one hour. `hour` counts hours since the epoch, in UTC."""

    hour: int
    requests: int
    tokens: int


class DayUse(Struct, frozen=True, kw_only=True):
    """What a lane sent during the last day, for daily limits."""

    #: The last day's hours, in order; hours without use are left out.
    hours: tuple[HourUse, ...] = ()
    #: When the provider's day starts. None: unknown, so any 24 hours count as a day.
    begins: DayBegins | None = None


class KnownLimits(Struct, frozen=True, kw_only=True):
    """Limits that the user did not give: announced in headers, or estimated. Per minute unless named otherwise.

    None: unknown.
    """

    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    #: Requests and tokens per day.
    rpd: float | None = None
    tpd: float | None = None
    learned_rpm: float | None = None
    #: UTC seconds, rounded up, until which an exhausted daily limit holds the lane; None if none does.
    day_until: int | None = None


class Charging(Struct, frozen=True, kw_only=True):
    """What was learned about the size and the price of requests."""

    #: How the provider charges tokens; None: unknown.
    rule: ChargeRule | None = None
    #: How much more expensive requests are than the rule says.
    scale: float = 1.0
    #: Prompt tokens as counted by the provider, per token estimated from bytes.
    input_ratio: float = 1.0
    #: Mean output tokens of a request; None: no reply yet.
    output: float | None = None
    #: Whether input that the provider serves from its cache counts toward its limit of input tokens.
    counts_cached: bool = True


class LaneMemory(Struct, frozen=True, kw_only=True):
    """What a lane's budget hands to the next run. Token buckets start empty, so their levels are not in it."""

    limits: KnownLimits = KnownLimits()
    charging: Charging = Charging()
    day: DayUse = DayUse()
    #: The number of requests in flight that the lane had reached; None: unknown.
    level: float | None = None


class StoredLane(Struct, frozen=True, kw_only=True):
    """A lane as the store remembers it. `cooling_until` is UTC microseconds."""

    id: LaneId
    key: LaneKey
    memory: LaneMemory
    cooling_until: int | None
    #: Whether its endpoint has ever answered, in any run.
    endpoint_answered: bool = False
