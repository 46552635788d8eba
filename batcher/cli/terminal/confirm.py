"""Ask for confirmation before something is removed."""

import sys

import click

from batcher.domain.errors import UsageError


def on_terminal() -> bool:
    """Whether there is a terminal to ask on."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> bool:
    """Return True if `--yes` was given or the user agrees. Raises UsageError if there is no terminal to ask on."""
    if yes:
        return True
    if not on_terminal():
        raise UsageError(
            f"{question} This is not a terminal, so no one can answer",
            hint="give --yes to go ahead without asking",
        )
    return click.confirm(question, default=False, err=True)
