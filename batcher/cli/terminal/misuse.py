"""Advice for what often goes wrong around a command: several files for one, and what the system refuses."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batcher.domain.errors import BatcherError, UsageError

_TAKE_A_FILE: Final = frozenset({"run", "submit", "check"})
_OUTPUT: Final = frozenset({"-o", "--output"})
_MOST_NAMED: Final = 8


def several_files(args: Sequence[str]) -> UsageError | None:
    """Return the error for `batcher run *.jsonl`, with a command that handles each file; None for one file."""
    if not args or args[0] not in _TAKE_A_FILE:
        return None
    outputs = {at + 1 for at, arg in enumerate(args) if arg in _OUTPUT}
    files = [at for at, arg in enumerate(args) if at and at not in outputs and Path(arg).is_file()]
    if len(files) < 2:  # noqa: PLR2004 - several
        return None
    options = [arg for at, arg in enumerate(args) if at and at not in {*files, *outputs} and arg not in _OUTPUT]
    names = shlex.join(args[at] for at in files[:_MOST_NAMED])
    more = "" if len(files) <= _MOST_NAMED else " …"
    command = "check" if args[0] == "check" else "submit"
    each = " ".join([f'batcher {command} "$file"', *(shlex.quote(option) for option in options)])
    after = "; batcher resume" if args[0] == "run" else ""
    return UsageError(
        f"batcher {args[0]} takes one job file, not {len(files)}",
        hint=f"`for file in {names}{more}; do {each}; done{after}`",
    )


def refusal_of_the_system(error: Exception) -> BatcherError | None:
    """Return what to report for an error that the system or the environment causes; None for another one."""
    key_log = os.environ.get("SSLKEYLOGFILE")
    if isinstance(error, OSError) and key_log and error.filename == key_log:
        return UsageError(
            f"SSLKEYLOGFILE names {key_log}, which cannot be written: {error.strerror}",
            hint="unset SSLKEYLOGFILE, or name a file that can be written, then run the command again",
        )
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return BatcherError(
            "the system lets this user start no more threads",
            hint="raise `ulimit -u` or the container's limit of processes, then run the command again",
        )
    return None
