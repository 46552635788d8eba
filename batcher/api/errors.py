"""Errors for Python callers: where a command names a flag, these name the argument."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec.structs import replace

from batcher.config.table import ARGUMENTS, LIMITS
from batcher.domain.errors import BatcherError, InputError
from batcher.domain.messages import Words
from batcher.messages.render import render

#: Arguments that have another name than the flag, and flags that take no value on the command line.
_ARGUMENTS: Final = {
    **{limit.flag: f"Limits({limit.name}=…)" for limit in LIMITS},
    **{setting.flag: f"{setting.name}=True" for setting in ARGUMENTS if setting.kind is bool},
    **{setting.denial: f"{setting.name}=False" for setting in ARGUMENTS if setting.can_be_denied},
    **{setting.off_flag: f'{setting.name}="off"' for setting in ARGUMENTS if setting.off_flag},
    "--skip-invalid": "skip_invalid=True",
    "--new": "new=True",
    "-o": "output",
}


def words(text: Words) -> str:
    """Return the text of a message; options are arguments, and commands stay as they are."""
    return render(text, argument_name)


def argument_name(flag: str, _placeholder: str) -> str:
    """Return the argument that means the same as an option."""
    return _ARGUMENTS.get(flag, flag.removeprefix("--").replace("-", "_"))


@contextmanager
def translate_errors() -> Iterator[None]:
    """Inside the block, errors name arguments of Python."""
    try:
        yield
    except BatcherError as error:
        error.message = words(error.message)
        error.hint = None if error.hint is None else words(error.hint)
        error.args = (error.message,)
        if isinstance(error, InputError):
            error.forms = tuple(replace(each, hint=words(each.hint)) for each in error.forms)
        raise
