"""What a rate limit is attached to, what a request costs there, and what the server says about it."""

from msgspec import Struct

from batcher.domain.ids import EndpointId, LaneId
from batcher.domain.states import ChargeRule, LimitSource


class LaneKey(Struct, frozen=True, kw_only=True):
    """(endpoint, name of the key, model): what a provider attaches a limit to."""

    endpoint_id: EndpointId
    key_name: str
    model: str


class Charge(Struct, frozen=True, kw_only=True):
    """What a request takes from a lane's budget at admission, in tokens (the request itself counts as one)."""

    input_tokens: int
    output_tokens: int
    #: Whether the request names its most output; else `output_tokens` is a guess.
    bounded: bool = True


class TokenLimit(Struct, frozen=True, kw_only=True):
    """A limit of tokens a minute that is certain: a person gave it, or the provider announced it in this run."""

    tpm: float
    source: LimitSource


class RateHints(Struct, frozen=True, kw_only=True):
    """What reply headers say about a lane's limits; None: not said, or said as unknown (0, -1).

    Sources: PROVIDERS §2. Limits are per minute; resets are seconds.
    """

    rpm: float | None = None
    remaining_requests: float | None = None
    reset_requests: float | None = None
    tpm: float | None = None
    remaining_tokens: float | None = None
    reset_tokens: float | None = None
    #: Requests a day (Groq's request headers; Cerebras' `-day`).
    rpd: float | None = None
    remaining_requests_day: float | None = None
    #: Tokens a day (Cerebras).
    tpd: float | None = None
    remaining_tokens_day: float | None = None
    #: Input and output tokens apart (Anthropic).
    input_tpm: float | None = None
    output_tpm: float | None = None


class LaneView(Struct, frozen=True, kw_only=True):
    """A lane's budget as `status` shows it."""

    key: LaneKey
    rpm: float | None
    tpm: float | None
    source: LimitSource
    #: What binds now: rpm, tpm, input_tpm, output_tpm, concurrency, provider, day, or input (too few rows).
    binding: str
    #: Share of the binding limit in use, 0 to 1; None where nothing is limited.
    utilization: float | None
    in_flight: int
    #: UTC microseconds, or None.
    cooling_until: int | None


class DayBegins(Struct, frozen=True):
    """The UTC hours at which a provider's day begins, at the earliest and at the latest (summer time)."""

    earliest: int
    latest: int


class HourUse(Struct, frozen=True, array_like=True):
    """What went within one hour. `hour` counts from the epoch, UTC."""

    hour: int
    requests: int
    tokens: int


class DayUse(Struct, frozen=True, kw_only=True):
    """What a lane has sent lately, for limits a day."""

    #: The last day's, in order; hours without use are left out.
    hours: tuple[HourUse, ...] = ()
    #: None: not known, so any 24 hours are a day.
    begins: DayBegins | None = None


class KnownLimits(Struct, frozen=True, kw_only=True):
    """Limits that nobody gave: announced in headers, or found out. A minute, or as said; None: unknown."""

    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    #: Requests and tokens a day.
    rpd: float | None = None
    tpd: float | None = None
    learned_rpm: float | None = None
    #: UTC seconds, rounded up, until which a daily limit that is used up holds the lane; None: none does.
    day_until: int | None = None


class Charging(Struct, frozen=True, kw_only=True):
    """What was learned about the size and the price of requests."""

    #: How the provider charges tokens; None: not known.
    rule: ChargeRule | None = None
    #: How much dearer than by the rule.
    scale: float = 1.0
    #: Tokens of a prompt for each that was estimated from its bytes.
    input_ratio: float = 1.0
    #: Mean output of a request; None: none came back yet.
    output: float | None = None


class LaneMemory(Struct, frozen=True, kw_only=True):
    """What a lane's budget hands to the next run. Gates start empty, so no level of a bucket is among it."""

    limits: KnownLimits = KnownLimits()
    charging: Charging = Charging()
    day: DayUse = DayUse()
    #: Requests in flight that the lane had reached; None: not known.
    level: float | None = None


class StoredLane(Struct, frozen=True, kw_only=True):
    """A lane as the store remembers it. `cooling_until` is UTC microseconds."""

    id: LaneId
    key: LaneKey
    memory: LaneMemory
    cooling_until: int | None
    #: Whether its endpoint has ever answered, in whatever run.
    endpoint_answered: bool = False
