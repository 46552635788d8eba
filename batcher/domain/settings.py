"""Settings, validated once into frozen parts: what a job remembers, and what belongs to the process."""

from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from batcher.domain.states import CacheMode


class Limits(Struct, frozen=True, kw_only=True):
    """Rate limits given by the user. None: not given.

    Attributes:
        rpm: Requests per minute.
        tpm: Tokens per minute, input and output together.
        input_tpm: Input tokens per minute, for providers that limit them separately.
        output_tpm: Output tokens per minute, for providers that limit them separately.
        rpd: Requests per day.
        tpd: Tokens per day.
    """

    #: Requests per minute.
    rpm: float | None = None
    #: Tokens per minute: all of them, or input and output separately.
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    #: Requests and tokens per day.
    rpd: float | None = None
    tpd: float | None = None


#: The names of all limits, as settings spell them.
LIMIT_NAMES = Limits.__struct_fields__


class JobSettings(Struct, frozen=True, kw_only=True):
    """What a job remembers from the command that made it. Stored as JSON; holds no key, only a variable's name."""

    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    #: Header name → name of the environment variable that holds its value.
    headers: dict[str, str] = field(default_factory=dict)
    #: For every model's lane, unless `model_limits` names the model.
    limits: Limits = Limits()
    model_limits: dict[str, Limits] = field(default_factory=dict)
    cache: CacheMode = CacheMode.ALL
    #: Whether answers of earlier jobs may be used, too. Off by default on loopback.
    reuse_earlier: bool = True
    max_attempts: int = 6
    #: Seconds for one attempt.
    timeout: float = 600.0
    #: Seconds for which a lane may answer nothing before it pauses.
    max_wait: float = 3600.0
    #: US dollars; None: no cap.
    max_cost: float | None = None
    allow_http: bool = False
    ca_file: str | None = None
    #: Whether answers are validated against the format that the request asks for.
    validate_output: bool = True
    #: Whether an answer that was cut at its token limit is a dead letter instead of being delivered.
    fail_truncated: bool = False
    #: Runs against the built-in simulated provider.
    simulate: bool = False


class ProcessSettings(Struct, frozen=True, kw_only=True):
    """What belongs to the process and is not remembered."""

    #: Path of the SQLite file.
    db: str = "batcher.db"
    #: Most requests in flight; None: adaptive.
    concurrency: int | None = None


def strictest(given: Iterable[Limits]) -> Limits:
    """Return the limits for jobs that share a lane: for each limit the strictest that any of them gives."""
    each = list(given)
    return Limits(**{name: _least(getattr(limits, name) for limits in each) for name in LIMIT_NAMES})


def _least(figures: Iterable[float | None]) -> float | None:
    return min((figure for figure in figures if figure is not None), default=None)


def limits_for(settings: JobSettings, model: str) -> Limits:
    """Return the limits of a model's lane: the model's own figure if one is given, else the general one."""
    return limits_over(settings.model_limits.get(model, Limits()), settings.limits)


def limits_over(upper: Limits, lower: Limits) -> Limits:
    """Return each figure of `upper` if it is given, else that of `lower`."""
    given = {name: getattr(upper, name) for name in LIMIT_NAMES if getattr(upper, name) is not None}
    return replace(lower, **given)
