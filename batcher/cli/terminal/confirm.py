"""Asking before something is removed."""

import sys

import click

from batcher.domain.errors import UsageError


def on_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to go on: `--yes` was given, or a person says so. Raises UsageError where nobody can be asked."""
    if yes:
        return True
    if not on_terminal():
        raise UsageError(f"{question} Nobody can be asked here: this is no terminal", hint="give --yes to go on")
    return click.confirm(question, default=False, err=True)
