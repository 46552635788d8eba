"""What each source of settings gives, by the settings' names."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from msgspec import Struct

from batcher.config.limits import read_figures
from batcher.config.setting import Setting
from batcher.config.table import BY_NAME, LIMITS

T = TypeVar("T")


class Given:
    """Values by the settings' names; a setting that is not given, or is None, has none."""

    __slots__ = ("_values",)

    def __init__(self, **values: object) -> None:
        if unknown := values.keys() - BY_NAME.keys():
            raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
        self._values = {name: value for name, value in values.items() if value is not None}

    def get(self, setting: Setting[T]) -> T | None:
        """Return the setting's value; None if it is not given."""
        return cast("T | None", self._values.get(setting.name))

    def values(self) -> Mapping[str, object]:
        """Return every value that is given, by its setting's name."""
        return self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.values() == self._values

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


class Flags(Given):
    """The options of a command as they were given, unchecked. `--no-cache` arrives as cache="off"."""

    def named(self, setting: Setting[Any]) -> str:
        """Return what the person who gave it calls the setting."""
        return setting.flag


class Arguments(Flags):
    """The arguments of the Python API in place of options."""

    def named(self, setting: Setting[Any]) -> str:
        """Return the argument's name."""
        return setting.name


class Layer(Given):
    """What one source gives, checked."""


class FileSettings(Struct, frozen=True, kw_only=True):
    """What batcher.toml gives; nothing if there is no file."""

    #: The file's name in errors; None if there is no file.
    source: str | None = None
    given: Layer = Layer()


def checked(flags: Flags) -> Layer:
    """Check all flags. Raises ConfigError that names the wrong one."""
    return Layer(
        **{
            name: _checked(BY_NAME[name], value, flags.named(BY_NAME[name]))
            for name, value in flags.values().items()
        }
    )


def limited_models(flags: Flags) -> list[tuple[str, str]]:
    """Return each model that `--rpm MODEL=N` or another limit names, with the flag that names it."""
    given = ((limit, checked(flags).get(limit) or {}) for limit in LIMITS)
    return [(limit.flag, model) for limit, figures in given for model in figures if model is not None]


def _checked(setting: Setting[T], value: object, where: str) -> T:
    if setting.is_per_model:
        return cast("T", read_figures(cast("Sequence[str]", value), where))
    return cast("T", setting.check(value, where))
