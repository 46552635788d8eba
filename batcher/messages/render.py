"""Word a message: find the template of its cause and fill it with parameters and a surface's names of options."""

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from batcher.domain.messages import Cause, Parameter, Words
from batcher.messages import dead_letters, diagnostics, job_files, pauses, stores, usage
from batcher.messages.templates import Template

#: Returns what a surface calls an option, given its flag (`--base-url`) and the placeholder of its value, or "".
OptionNames = Callable[[str, str], str]

TEMPLATES: Final[Mapping[Cause, Template]] = {
    Cause.TEXT: "{text}",
    **pauses.TEMPLATES,
    **dead_letters.TEMPLATES,
    **diagnostics.TEMPLATES,
    **job_files.TEMPLATES,
    **stores.TEMPLATES,
    **usage.TEMPLATES,
}


def render(words: Words, names: OptionNames) -> str:
    """Return the text of a message, or the text itself."""
    if isinstance(words, str):
        return words
    template = TEMPLATES[words.cause]
    if not isinstance(template, str):
        template = template(words.parameters)
    return template.format_map(_Fields(words.parameters, names))


def fill(template: str, names: OptionNames) -> str:
    """Return a text in which only options are named."""
    return template.format_map(_Fields({}, names))


class _Fields(dict[str, object]):
    """The parameters of a message, worded; and any option, by its flag."""

    def __init__(self, parameters: Mapping[str, Parameter], names: OptionNames) -> None:
        super().__init__({name: _worded(value, names) for name, value in parameters.items()})
        self._names = names

    def __missing__(self, key: str) -> object:
        if not key.startswith("-"):
            raise KeyError(key)
        return _Option(key, self._names)


class _Value(str):
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


def _worded(value: Parameter, names: OptionNames) -> object:
    if isinstance(value, int):
        return value
    if isinstance(value, tuple):
        return _Value("\n".join(render(each, names) for each in value))
    return _Value(render(value, names))
