"""The settings as arguments in Python. `make pages` writes the class again from their table."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, TypeVar

from batcher.api.sources import absolute_path
from batcher.config import Arguments
from batcher.config.table import ARGUMENTS
from batcher.domain.settings import Limits

F = TypeVar("F", bound=Callable[..., Any])
Key = str | Callable[[], str]


# [[[cog import cog; from tests.docs.setting_pages import arguments; cog.out(arguments()) ]]]
class SettingArguments(TypedDict, total=False):
    """The settings of a run as arguments. One that is None counts as not given.

    Attributes:
        base_url: Base URL of the endpoint. Default: https://api.openai.com/v1.
        api_key_env: Environment variable that holds the API key. Default: OPENAI_API_KEY.
        concurrency: Maximum requests in flight. Default: adaptive.
        max_attempts: Maximum attempts per row. Default: 6.
        timeout: Maximum seconds per attempt. Default: 600.
        max_wait: Maximum seconds without an answer before the job pauses. Default: 3600.
        cache: Reuse answers: all, deterministic (temperature 0 or a seed) or off. Default: all; at a loopback
            endpoint, and with simulate=True, answers of earlier jobs only if cache all is given.
        validate_output: Check each answer against the JSON format that its request asks for. Default: on.
        fail_truncated: Make dead letters of answers that are cut at their token limit. Default: off.
        allow_http: Allow a key over plain HTTP to a public host.
        ca_file: CA certificates, in PEM. Default: the system's.
        simulate: Use the built-in simulated provider; needs no key.
    """

    base_url: str | None
    api_key_env: str | None
    concurrency: int | None
    max_attempts: int | None
    timeout: float | None
    max_wait: float | None
    cache: str | None
    validate_output: bool | None
    fail_truncated: bool | None
    allow_http: bool | None
    ca_file: str | os.PathLike[str] | None
    simulate: bool | None


# [[[end]]]  # noqa: ERA001 - a mark of cog


class BatcherArguments(SettingArguments, total=False):
    """All arguments of `Batcher`."""

    db: str | os.PathLike[str] | None
    api_key: Key | None
    limits: Limits | None
    model_limits: Mapping[str, Limits] | None


_NAMES: Final = {setting.name for setting in ARGUMENTS}
_PATHS: Final = {setting.name for setting in ARGUMENTS if setting.is_path}


def flags_of(settings: SettingArguments, *, db: str | os.PathLike[str] | None) -> Arguments:
    """Return the arguments as the layer above all others, unchecked. Raises TypeError for an unknown argument."""
    given: dict[str, Any] = {**settings}
    if unknown := sorted(given.keys() - _NAMES):
        raise TypeError(f"Batcher() got an unexpected keyword argument {unknown[0]!r}")
    paths = {name: absolute_path(given[name]) for name in _PATHS & given.keys()}
    return Arguments(**{**given, **paths}, db=None if db is None else os.fspath(db))


def lists(arguments: type) -> Callable[[F], F]:
    """Return a decorator that lists the arguments in the signature, so that help and completion show them."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        *own, _ = signature.parameters.values()
        names = arguments.__annotations__.items()
        listed = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
            for name, kind in names
        ]
        function.__signature__ = signature.replace(parameters=[*own, *listed])  # type: ignore[attr-defined]
        return function

    return decorate
