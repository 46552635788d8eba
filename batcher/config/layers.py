"""What each source of settings gives; None for every setting that it does not give."""

from collections.abc import Sequence

from msgspec import Struct

from batcher.config.limits import LimitLayer
from batcher.domain.states import CacheMode


class Flags(Struct, frozen=True, kw_only=True):
    """The options of a command as they were given, unchecked. `--no-cache` arrives as cache="off"."""

    base_url: str | None = None
    api_key_env: str | None = None
    #: Each "N" or "MODEL=N".
    rpm: Sequence[str] | None = None
    tpm: Sequence[str] | None = None
    max_attempts: int | None = None
    #: Seconds.
    timeout: float | None = None
    max_wait: float | None = None
    #: US dollars.
    max_cost: float | None = None
    cache: str | None = None
    allow_http: bool | None = None
    validate_output: bool | None = None
    fail_truncated: bool | None = None
    ca_file: str | None = None
    simulate: bool | None = None
    db: str | None = None
    concurrency: int | None = None


class Layer(Struct, frozen=True, kw_only=True):
    """What one source gives for a job's settings, checked."""

    base_url: str | None = None
    api_key_env: str | None = None
    headers: dict[str, str] | None = None
    limits: LimitLayer = LimitLayer()
    max_attempts: int | None = None
    timeout: float | None = None
    max_wait: float | None = None
    max_cost: float | None = None
    cache: CacheMode | None = None
    allow_http: bool | None = None
    validate_output: bool | None = None
    fail_truncated: bool | None = None
    ca_file: str | None = None


class FileSettings(Struct, frozen=True, kw_only=True):
    """What batcher.toml gives; everything is None if there is no file."""

    #: The file's name in errors; None if there is no file.
    source: str | None = None
    job: Layer = Layer()
    db: str | None = None
    concurrency: int | None = None
