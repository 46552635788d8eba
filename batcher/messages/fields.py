"""The fields of a template: the parameters of a message, and the options that it names.

The catalogue is imported only if there is a message to word; texts of `--help` name options without it.
"""

import shlex
from collections.abc import Callable, Mapping

#: Returns what a surface calls an option, given its flag (`--base-url`) and the placeholder of its value, or "".
OptionNames = Callable[[str, str], str]


def fill(template: str, names: OptionNames) -> str:
    """Return a text in which only options are named."""
    return template.format_map(Fields({}, names))


class Fields(dict[str, object]):
    """The values of parameters; and any option, by its flag."""

    def __init__(self, values: Mapping[str, object], names: OptionNames) -> None:
        super().__init__(values)
        self._names = names

    def __missing__(self, key: str) -> object:
        if not key.startswith("-"):
            raise KeyError(key)
        return _Option(key, self._names)


class FieldText(str):
    """A text in a template: `{code:shell}` quotes it for a shell, `{jobs:spaced}` puts a space before it."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        match spec:
            case "shell":
                return shlex.quote(self)
            case "spaced":
                return f" {self}" if self else ""
            case _:
                return super().__format__(spec)


class _Option:
    """An option in a template: `{--timeout}`, or `{--timeout:S}` with the placeholder of its value."""

    def __init__(self, flag: str, names: OptionNames) -> None:
        self._flag = flag
        self._names = names

    def __format__(self, placeholder: str) -> str:
        return self._names(self._flag, placeholder)
