"""Errors for Python callers: where a command names a flag, these name the argument."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from batcher.config.table import ARGUMENTS, LIMITS
from batcher.domain.errors import BatcherError, Paused
from batcher.domain.messages import Words
from batcher.messages import render

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
#: A flag, with the placeholder after it. A command in backticks can be run as it is and stays.
_FLAG: Final = re.compile(r"`batcher [^`]*`|(?<![\w-])(--[a-z][a-z-]*|-o\b)(?: [A-Z]+\b)?")


def to_python_names(text: str) -> str:
    """Replace flags by arguments: `--max-attempts` becomes `max_attempts`."""

    def argument(found: re.Match[str]) -> str:
        flag = found[1]
        if flag is None:
            return found[0]
        return _ARGUMENTS.get(flag, flag.removeprefix("--").replace("-", "_"))

    return _FLAG.sub(argument, text)


def words(text: Words) -> str:
    """Return the text of a message; options are arguments, and commands stay as they are."""
    return render(text, _argument)


def _argument(flag: str, _placeholder: str) -> str:
    return _ARGUMENTS.get(flag, flag.removeprefix("--").replace("-", "_"))


@contextmanager
def translate_errors() -> Iterator[None]:
    """Inside the block, errors name arguments of Python."""
    try:
        yield
    except BatcherError as error:
        error.message = to_python_names(error.message)
        error.hint = None if error.hint is None else to_python_names(error.hint)
        error.args = (error.message,)
        if isinstance(error, Paused) and error.hint is not None:
            error.fix = error.hint
        raise
