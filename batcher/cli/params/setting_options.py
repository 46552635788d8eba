"""The options of settings, made from the table of settings."""

from collections.abc import Callable, Iterable, Sequence
from functools import update_wrapper
from typing import Any, TypeVar

import click

from batcher.cli.flag_names import flag_name
from batcher.cli.params.durations import Seconds
from batcher.config import Flags
from batcher.config.checks import unsupported
from batcher.config.setting import Setting
from batcher.config.table import RUN_SETTINGS
from batcher.domain.errors import UsageError
from batcher.messages.fields import fill

F = TypeVar("F", bound=Callable[..., Any])
Option = Callable[[Any], Any]


def setting_options(command: F) -> F:
    """Add the options of a run's settings to a command, which gets them as one argument, `flags`."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        flags = Flags(**{setting.name: _take(setting, kwargs) for setting in RUN_SETTINGS if setting.has_flag})
        return command(*args, flags=flags, **kwargs)

    return add_options(command, wrapper, options_of(RUN_SETTINGS))


def options_of(settings: Iterable[Setting[Any]]) -> list[Option]:
    """Return the options of those settings that have a flag."""
    return [option for setting in settings if setting.has_flag for option in _options(setting)]


def option_of(setting: Setting[Any], *, words: str | None = None) -> Option:
    """Return the option of one setting. `words`: its help, if the command means less or something else by it."""
    flag = f"{setting.flag}/{setting.denial}" if setting.can_be_denied else setting.flag
    # The value None says that the option is not given. Ranges are checked with the other sources of the setting.
    return click.option(
        flag,
        type=_type(setting),
        is_flag=setting.kind is bool,
        multiple=setting.is_per_model,
        default=None,
        metavar=setting.metavar,
        help=fill(setting.help_with_sources, flag_name) if words is None else words,
    )


def add_options(command: F, wrapper: Callable[..., Any], options: Sequence[Option]) -> F:
    """Return the wrapper in the command's name, with the options in the order in which `--help` lists them."""
    wrapped: Any = update_wrapper(wrapper, command)
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators return a function of the same type


def _options(setting: Setting[Any]) -> list[Option]:
    if setting.off_flag is None:
        return [option_of(setting)]
    same = f"Same as {setting.flag} off."
    return [option_of(setting), click.option(setting.off_flag, is_flag=True, default=None, help=same)]


def _type(setting: Setting[Any]) -> Any:  # noqa: ANN401 - click takes a type, or one of its own
    if setting.choices:
        return click.Choice(setting.choices)
    if setting.is_duration:
        return Seconds()
    return None if setting.kind in {bool, str} else setting.kind


def _take(setting: Setting[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 - the option's value
    value = values.pop(setting.name)
    if setting.off_flag is not None and values.pop(setting.off_flag[2:].replace("-", "_")):
        if value not in {None, "off"}:
            raise UsageError(f"{setting.off_flag} contradicts {setting.flag} {value}", hint="give one of them")
        value = "off"
    if value is not None and not setting.is_supported:
        raise unsupported(setting.flag, UsageError)
    return value
