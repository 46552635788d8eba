"""Merges the layers into `JobSettings` and `ProcessSettings`.

Pure, except that a relative CA path uses the working directory.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import TypeVar

from batcher.config import checks
from batcher.config.credentials import refuse_key_as_name
from batcher.config.layers import FileSettings, Flags, Layer
from batcher.config.limits import LimitLayer, over, read_limit_flags
from batcher.config.paths import ca_path, expand_home, store_path
from batcher.domain.errors import ConfigError
from batcher.domain.settings import JobSettings, ProcessSettings
from batcher.domain.states import CacheMode
from batcher.policy.urls import host_of, is_loopback
from batcher.policy.wording.url_secrets import shown_base_url

T = TypeVar("T")

DEFAULT_BASE_URL = "https://api.openai.com/v1"
#: The endpoint that a simulated job remembers. The port of the built-in provider differs from run to run, and
#: its answers must never be taken for those of a real provider.
SIMULATED_BASE_URL = "http://simulated.localhost/v1"

#: Used if neither the job nor any source gives a setting.
_DEFAULTS = JobSettings(base_url=DEFAULT_BASE_URL)


def resolve_job(
    flags: Flags,
    *,
    remembered: JobSettings | None,
    environ: Mapping[str, str],
    file: FileSettings,
    endpoint_of: JobSettings | None = None,
) -> JobSettings:
    """Return a job's settings. Raises ConfigError that names the flag, the variable or the key that is wrong.

    `endpoint_of`: the settings of another job whose endpoint this one takes, with its key variable and headers.
    If the job remembers no limit, no cost cap or no CA file, the environment and the file may give one. The job's
    headers are remembered as a whole, so that a file written for another provider adds none.
    """
    simulate = _simulate(flags, remembered)
    layers = [
        _flag_layer(flags),
        *([_remembered_layer(remembered)] if remembered else []),
        *([_endpoint_layer(endpoint_of)] if endpoint_of else []),
        _environment_layer(environ),
        file.job,
    ]
    base_url = SIMULATED_BASE_URL if simulate else _base_url(flags, remembered or endpoint_of, environ, file)
    limits = reduce(over, (layer.limits for layer in layers), LimitLayer())
    cache = _first((layer.cache for layer in layers), _DEFAULTS.cache)
    api_key_env = _first((layer.api_key_env for layer in layers), _DEFAULTS.api_key_env)
    headers = _first((layer.headers for layer in layers), _DEFAULTS.headers)
    refuse_key_as_name(api_key_env, "--api-key-env (or provider.api_key_env)", environ)
    for header, name in headers.items():
        refuse_key_as_name(name, f"provider.headers.{header}", environ)
    ca_file = _first((layer.ca_file for layer in layers), None)
    return JobSettings(
        base_url=base_url,
        api_key_env=api_key_env,
        headers=dict(headers),
        limits=limits.plain,
        model_limits=limits.models,
        cache=cache,
        reuse_earlier=_reuses_earlier(flags, remembered, cache, local=simulate or is_loopback(host_of(base_url))),
        max_attempts=_first((layer.max_attempts for layer in layers), _DEFAULTS.max_attempts),
        timeout=_first((layer.timeout for layer in layers), _DEFAULTS.timeout),
        max_wait=_first((layer.max_wait for layer in layers), _DEFAULTS.max_wait),
        max_cost=_first((layer.max_cost for layer in layers), None),
        allow_http=_first((layer.allow_http for layer in layers), _DEFAULTS.allow_http),
        validate_output=_first((layer.validate_output for layer in layers), _DEFAULTS.validate_output),
        fail_truncated=_first((layer.fail_truncated for layer in layers), _DEFAULTS.fail_truncated),
        ca_file=None if ca_file is None else ca_path(ca_file, environ),
        simulate=simulate,
    )


def resolve_process(flags: Flags, environ: Mapping[str, str], file: FileSettings) -> ProcessSettings:
    """Return the process's settings. `db` is always a path, never a URL."""
    defaults = ProcessSettings()
    db = _first(
        (
            checks.optional(flags.db, store_path, "--db"),
            checks.optional(_variable(environ, "BATCHER_DB"), store_path, "BATCHER_DB"),
            file.db,
        ),
        defaults.db,
    )
    given = checks.optional(flags.concurrency, checks.concurrency, "--concurrency")
    return ProcessSettings(db=expand_home(db, environ), concurrency=_first((given, file.concurrency), None))


def _flag_layer(flags: Flags) -> Layer:
    """Make a layer of the flags, except for the base URL, which is checked only if it is the one in force."""
    return Layer(
        api_key_env=checks.optional(flags.api_key_env, checks.variable, "--api-key-env"),
        limits=read_limit_flags(flags.rpm, flags.tpm),
        max_attempts=checks.optional(flags.max_attempts, checks.attempts, "--max-attempts"),
        timeout=checks.optional(flags.timeout, checks.timeout, "--timeout"),
        max_wait=checks.optional(flags.max_wait, checks.wait, "--max-wait"),
        max_cost=checks.optional(flags.max_cost, checks.positive, "--max-cost"),
        cache=checks.optional(flags.cache, checks.cache_mode, "--cache"),
        allow_http=flags.allow_http,
        validate_output=flags.validate_output,
        fail_truncated=flags.fail_truncated,
        ca_file=checks.optional(flags.ca_file, checks.text, "--ca-file"),
    )


def _remembered_layer(settings: JobSettings) -> Layer:
    return Layer(
        api_key_env=settings.api_key_env,
        headers=settings.headers,
        limits=LimitLayer(plain=settings.limits, models=settings.model_limits),
        max_attempts=settings.max_attempts,
        timeout=settings.timeout,
        max_wait=settings.max_wait,
        max_cost=settings.max_cost,
        cache=settings.cache,
        allow_http=settings.allow_http,
        validate_output=settings.validate_output,
        fail_truncated=settings.fail_truncated,
        ca_file=settings.ca_file,
    )


def _endpoint_layer(settings: JobSettings) -> Layer:
    """Return what belongs to an endpoint: who is asked, with which key, and over which connection."""
    return Layer(
        api_key_env=settings.api_key_env,
        headers=settings.headers,
        allow_http=settings.allow_http,
        ca_file=settings.ca_file,
    )


def base_url_named_by(flags: Flags, environ: Mapping[str, str], file: FileSettings) -> str | None:
    """Return which source names a new job's base URL, by the name that people know; None: it is the default."""
    if flags.simulate:
        return "--simulate"
    if flags.base_url is not None:
        return "--base-url"
    if _variable(environ, "OPENAI_BASE_URL") is not None:
        return "OPENAI_BASE_URL"
    return file.source if file.job.base_url is not None else None


def _environment_layer(environ: Mapping[str, str]) -> Layer:
    return Layer(ca_file=_variable(environ, "SSL_CERT_FILE"))


def _base_url(flags: Flags, remembered: JobSettings | None, environ: Mapping[str, str], file: FileSettings) -> str:
    if flags.base_url is not None:
        return checks.base_url(flags.base_url, "--base-url")
    if remembered is not None:
        return remembered.base_url
    variable = _variable(environ, "OPENAI_BASE_URL")
    if variable is not None:
        return checks.base_url(variable, "OPENAI_BASE_URL")
    return file.job.base_url or _DEFAULTS.base_url


def _simulate(flags: Flags, remembered: JobSettings | None) -> bool:
    """Return whether the provider is simulated. A job keeps the kind of provider that it began with."""
    wanted = bool(flags.simulate)
    if wanted and flags.base_url is not None:
        raise ConfigError("--simulate runs against the built-in provider: it cannot be combined with --base-url")
    if remembered is None:
        return wanted
    if remembered.simulate and flags.base_url is not None:
        raise ConfigError(
            "this job runs against the simulated provider: --base-url cannot move it to a real one",
            hint="run the file there: batcher run FILE --base-url URL",
        )
    if wanted and not remembered.simulate:
        raise ConfigError(
            f"this job runs against {shown_base_url(remembered.base_url)}: "
            "--simulate would mix made-up answers with real ones",
            hint="make a new job of the file: batcher run FILE --new --simulate",
        )
    return remembered.simulate


def _reuses_earlier(flags: Flags, remembered: JobSettings | None, cache: CacheMode, *, local: bool) -> bool:
    """Return whether answers of earlier jobs may be used.

    On loopback, only if `--cache all` was given, now or earlier.

    A loopback port may serve another model tomorrow, so its answers are not assumed to stay valid.
    """
    if cache is CacheMode.OFF:
        return False
    return not local or _asked_for_all(flags, remembered)


def _asked_for_all(flags: Flags, remembered: JobSettings | None) -> bool:
    if flags.cache is not None:
        return flags.cache == CacheMode.ALL
    if remembered is None or not remembered.reuse_earlier:
        return False
    return remembered.simulate or is_loopback(host_of(remembered.base_url))


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return an environment variable's value; an empty variable counts as unset, as is usual in a shell."""
    return environ.get(name, "").strip() or None


def _first(given: Iterable[T | None], default: T) -> T:
    return next((value for value in given if value is not None), default)
