"""Settings of the simulated provider: limits, latency, faults and API key."""

from msgspec import Struct, field

from batcher.domain.errors import ConfigError
from batcher.domain.settings import Limits
from batcher.domain.states import ChargeRule


class SimulatedProvider(Struct, frozen=True, kw_only=True):
    """Settings of one simulated provider. Limits are per minute and apply to each model separately."""

    host: str = "127.0.0.1"
    #: 0: any free port.
    port: int = 0
    rpm: float | None = None
    tpm: float | None = None
    #: Overrides `rpm` and `tpm` for the models that it names; a None in it falls back to them.
    model_limits: dict[str, Limits] = field(default_factory=dict)
    charge: ChargeRule = ChargeRule.MAX
    #: Seconds of budget that an idle lane accumulates.
    burst: float = 1.0
    #: Whether replies carry `x-ratelimit-*`.
    headers: bool = True
    #: Whether a 429 gives the wait: in `retry-after`, `retry-after-ms` and its message.
    retry_after: bool = True
    #: Median latency of a reply in seconds; 0: no delay.
    latency: float = 0.2
    #: Sigma of the lognormal latency; 0: always the median.
    latency_sigma: float = 0.3
    #: Share of admitted requests that fail with 500, 502 or 503, drawn by seed, body and repetition.
    fail: float = 0.0
    #: The only key that is accepted; None: any key, or none.
    api_key: str | None = None
    #: The only models that are served; empty: any name.
    models: tuple[str, ...] = ()
    #: The approximate tokens of an answer that no maximum cuts.
    output_tokens: int = 24
    #: Characters per token, as this provider counts prompts.
    chars_per_token: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ConfigError for a number outside its range."""
        for name, value in _limits(self):
            _require(value > 0, f"{name} of the simulated provider is {value:g}", "Give a number above 0.")
        _require(0 <= self.fail <= 1, f"the share of failures is {self.fail:g}", "Give a share from 0 to 1.")
        for name, value in _durations(self):
            _require(value >= 0, f"{name} of the simulated provider is {value:g}", "Give 0 or more.")


def limits_of(settings: SimulatedProvider, model: str) -> Limits:
    """Return the limits of one model's lane: its own number if there is one, or else the general one."""
    own = settings.model_limits.get(model, Limits())
    return Limits(
        rpm=settings.rpm if own.rpm is None else own.rpm,
        tpm=settings.tpm if own.tpm is None else own.tpm,
    )


def _limits(settings: SimulatedProvider) -> list[tuple[str, float]]:
    named = [("rpm", settings.rpm), ("tpm", settings.tpm), ("burst", settings.burst)]
    named.append(("chars_per_token", settings.chars_per_token))
    for model, limits in settings.model_limits.items():
        named += [(f"rpm for {model}", limits.rpm), (f"tpm for {model}", limits.tpm)]
    return [(name, value) for name, value in named if value is not None]


def _durations(settings: SimulatedProvider) -> list[tuple[str, float]]:
    return [
        ("latency", settings.latency),
        ("latency_sigma", settings.latency_sigma),
        ("output_tokens", settings.output_tokens),
        ("port", settings.port),
    ]


def _require(holds: bool, message: str, hint: str) -> None:
    if not holds:
        raise ConfigError(message, hint=hint)
