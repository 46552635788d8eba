"""Merges the layers into `JobSettings` and `ProcessSettings`.

Pure, except that a relative CA path uses the working directory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from batcher.config.credentials import refuse_key_as_name
from batcher.config.layers import FileSettings, Flags, Layer, checked
from batcher.config.limits import figures_of, limits_of
from batcher.config.paths import ca_path, expand_home
from batcher.config.setting import Figures, Setting
from batcher.config.table import (
    API_KEY_ENV,
    BASE_URL,
    CACHE,
    CONCURRENCY,
    DB,
    HEADERS,
    JOB_SETTINGS,
    LIMITS,
    SIMULATE,
)
from batcher.domain.errors import ConfigError
from batcher.domain.messages import Cause
from batcher.domain.settings import JobSettings, ProcessSettings
from batcher.domain.states import CacheMode
from batcher.policy.urls import host_of, is_loopback
from batcher.policy.wording.url_secrets import shown_base_url

T = TypeVar("T")
#: Returns what it gives for a setting, checked; None: nothing.
Source = Callable[[Setting[Any]], Any]

#: The endpoint that a simulated job remembers. The port of the built-in provider differs from run to run, and
#: its answers must never be taken for those of a real provider.
SIMULATED_BASE_URL: Final = "http://simulated.localhost/v1"

#: The settings of a job of which each source gives a whole value; of limits it gives figures.
_PLAIN: Final = tuple(setting for setting in JOB_SETTINGS if not setting.is_per_model)


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
    sources: list[Source] = [
        checked(flags).get,
        *([_remembered(remembered).get] if remembered else []),
        *([_endpoint(endpoint_of).get] if endpoint_of else []),
        _environment(environ),
        file.given.get,
    ]
    given = {setting.name: _first(setting, sources) for setting in _PLAIN if setting is not BASE_URL}
    given[BASE_URL.name] = SIMULATED_BASE_URL if simulate else _first(BASE_URL, sources)
    limits, model_limits = limits_of({limit.name: _figures(limit, sources) for limit in LIMITS})
    settings = JobSettings(
        limits=limits,
        model_limits=model_limits,
        **(
            {BASE_URL.name: BASE_URL.default} | {name: value for name, value in given.items() if value is not None}
        ),
    )
    _refuse_keys_as_names(settings, environ, flags.named(API_KEY_ENV))
    local = is_loopback(host_of(settings.base_url))
    return replace(
        settings,
        reuse_earlier=_reuses_earlier(flags, remembered, settings.cache, local=simulate or local),
        ca_file=None if settings.ca_file is None else ca_path(settings.ca_file, environ),
        simulate=simulate,
    )


def resolve_process(flags: Flags, environ: Mapping[str, str], file: FileSettings) -> ProcessSettings:
    """Return the process's settings. `db` is always a path, never a URL."""
    sources: list[Source] = [checked(flags).get, _environment(environ), file.given.get]
    db = _first(DB, sources) or DB.default
    return ProcessSettings(db=expand_home(db, environ), concurrency=_first(CONCURRENCY, sources))


def base_url_named_by(flags: Flags, environ: Mapping[str, str], file: FileSettings) -> str | None:
    """Return which source names a new job's base URL, by the name that people know; None: it is the default."""
    if flags.get(SIMULATE):
        return flags.named(SIMULATE)
    if flags.get(BASE_URL) is not None:
        return flags.named(BASE_URL)
    variable = BASE_URL.variable or ""
    if _variable(environ, variable) is not None:
        return variable
    return file.source if file.given.get(BASE_URL) is not None else None


def names_endpoint(flags: Flags) -> bool:
    """Return whether the flags themselves say where requests go."""
    return flags.get(BASE_URL) is not None or bool(flags.get(SIMULATE))


def _remembered(settings: JobSettings) -> Layer:
    limits = {limit.name: figures_of(limit.name, settings.limits, settings.model_limits) for limit in LIMITS}
    return Layer(**limits, **{setting.name: getattr(settings, setting.name) for setting in _PLAIN})


def _endpoint(settings: JobSettings) -> Layer:
    """Return what belongs to an endpoint: who is asked, with which key, and over which connection."""
    of_endpoint = (setting.name for setting in _PLAIN if setting.is_of_endpoint)
    return Layer(**{name: getattr(settings, name) for name in of_endpoint})


def _environment(environ: Mapping[str, str]) -> Source:
    """Return a source that checks a variable when its setting is asked for, so that a flag hides a wrong one."""

    def get(setting: Setting[Any]) -> object:
        name = setting.variable or ""
        value = _variable(environ, name)
        return None if value is None else setting.check(value, name)

    return get


def _first(setting: Setting[T], sources: Iterable[Source]) -> T | None:
    """Return the value of the first source that gives one."""
    given = (source(setting) for source in sources)
    return next((value for value in given if value is not None), None)


def _figures(limit: Setting[Figures], sources: Sequence[Source]) -> Figures:
    """Return a limit's figure for every model and for models by name, each of the first source that gives one."""
    return reduce(lambda lower, upper: lower | (upper(limit) or {}), reversed(sources), {})


def _refuse_keys_as_names(settings: JobSettings, environ: Mapping[str, str], key_env: str) -> None:
    """Raise ConfigError if a key stands where the name of its variable belongs."""
    refuse_key_as_name(settings.api_key_env, f"{key_env} (or {API_KEY_ENV.toml_path})", environ)
    for header, name in settings.headers.items():
        refuse_key_as_name(name, f"{HEADERS.toml_path}.{header}", environ)


def _simulate(flags: Flags, remembered: JobSettings | None) -> bool:
    """Return whether the provider is simulated. A job keeps the kind of provider that it began with."""
    wanted = bool(flags.get(SIMULATE))
    if wanted and flags.get(BASE_URL) is not None:
        raise ConfigError(Cause.SIMULATED_ELSEWHERE())
    if remembered is None:
        return wanted
    if remembered.simulate and flags.get(BASE_URL) is not None:
        raise ConfigError(
            Cause.SIMULATED_JOB(),
            hint=Cause.RUN_THERE(),
        )
    if wanted and not remembered.simulate:
        raise ConfigError(
            Cause.REAL_JOB(base_url=shown_base_url(remembered.base_url)),
            hint=Cause.RUN_SIMULATED(),
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
    if (asked := flags.get(CACHE)) is not None:
        return asked == CacheMode.ALL
    if remembered is None or not remembered.reuse_earlier:
        return False
    return remembered.simulate or is_loopback(host_of(remembered.base_url))


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return an environment variable's value; an empty variable counts as unset, as is usual in a shell."""
    return environ.get(name, "").strip() or None
