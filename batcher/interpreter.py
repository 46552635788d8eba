"""Starts this Python a second time, for work that needs a process of its own.

`sys.executable` may name something else: an application that embeds Python, or a script that starts one. Started
again, it would do again what it is doing now, so only an interpreter is started, and only from a process that was
not started here itself.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final

from batcher.domain.errors import UsageError

#: Set in the environment of every process that is started here.
_MARK: Final = "BATCHER_HELPER_PROCESS"
_NAME: Final = re.compile(r"(python|pypy)[0-9.]*[a-z]?")
_RUNNING: Final = Path("/proc/self/exe")


def helper_command(module: str, *arguments: str) -> list[str] | None:
    """Return the command that calls `main` of the module in a new interpreter; None if none can be started."""
    executable = sys.executable
    if not is_interpreter(executable) or getattr(sys, "frozen", False) or is_helper():
        return None
    # Python itself ignores entries that are no text.
    path = [entry for entry in sys.path if isinstance(entry, str)]  # type: ignore[redundant-expr]
    return [
        executable,
        "-I",
        "-c",
        f"import sys; sys.path[:] = {path!r}; from {module} import main; main()",
        *arguments,
    ]


def helper_environment() -> dict[str, str]:
    """Return the environment for a process that is started with `helper_command`."""
    return {**os.environ, _MARK: "1"}


def is_helper() -> bool:
    """Return whether this process was started by another one with `helper_command`."""
    return _MARK in os.environ


def refuse_helper() -> None:
    """Raise UsageError if this process was meant to be a helper: then the work is already done elsewhere."""
    if is_helper():
        raise UsageError(
            f"this program was started by another batcher as a helper, but it is not Python: {sys.executable}",
            hint="set sys.executable to a Python interpreter, or to None",
        )


def is_interpreter(executable: str | None) -> bool:
    """Return whether the file is the interpreter that is running now, by its name and, on Linux, by itself."""
    if not isinstance(executable, str) or not _NAME.fullmatch(Path(executable).name.removesuffix(".exe")):
        return False
    try:
        return not _RUNNING.exists() or _RUNNING.samefile(executable)
    except OSError:
        return False
