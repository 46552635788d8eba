"""Print errors for people and scripts (what is wrong, where, what to do next) and choose the exit code."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from batcher.cli.terminal.output import note
from batcher.cli.terminal.streams import discard
from batcher.domain.errors import BatcherError, InputError, Paused, UsageError
from batcher.policy.privacy.sanitize import sanitize
from batcher.policy.wording.url_secrets import mask_urls

FAILED, WRONG_USE, DEAD_LETTERS, PAUSED = 1, 2, 3, 4


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error (docs/exit-codes.md)."""
    if isinstance(error, UsageError):
        return WRONG_USE
    return PAUSED if isinstance(error, Paused) else FAILED


def report_click(error: click.ClickException, args: Sequence[str]) -> int:
    """Report wrong use that click found, with the command that shows help; returns the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say_verbatim(error.format_message())
        return WRONG_USE
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "batcher"
    _report(error.format_message(), f"`{command} --help`", args)
    return WRONG_USE


def report_error(error: Exception, args: Sequence[str]) -> int:
    """Report an error of this package, or an unexpected one; returns the exit code."""
    if "--debug" in args:
        import traceback  # noqa: PLC0415 - only with --debug

        _say_verbatim(sanitize(mask_urls("".join(traceback.format_exception(error))), keep_breaks=True))
    error = _innermost(error)
    if isinstance(error, InputError) and error.bad:
        _report_lines(error, args)
    elif isinstance(error, BatcherError):
        _report(error.message, error.hint, args)
    else:
        what = mask_urls(f"{type(error).__name__}: {error}")
        _report(
            f"internal error: {what}",
            "run the command again with --debug and report the traceback; nothing stored is lost",
            args,
        )
    return exit_code(error)


def _innermost(error: Exception) -> Exception:
    """Return the first error of a group, which a TaskGroup raises."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _report(message: str, hint: str | None, args: Sequence[str]) -> None:
    if "--json" in args:
        _print_json({"error": {"message": message, "hint": hint}})
    _say_error(message, hint)


def _report_lines(error: InputError, args: Sequence[str]) -> None:
    bad = sorted(error.bad, key=lambda each: each.line)
    if "--json" in args:
        lines = [{"line": each.line, "custom_id": each.custom_id, "reason": each.reason} for each in bad]
        document = {"message": error.message, "hint": error.hint, "count": error.count, "lines": lines}
        _print_json({"error": document})
        return
    for each in bad:
        note(f"{error.source}:{each.line}: {each.reason}")
    if error.count > len(bad):
        note(f"… and {error.count - len(bad):,} more (--json lists all)")
    _say_error(error.message, error.hint)


def _say_verbatim(text: str) -> None:
    """Print text to stderr as it is; lost if stderr cannot be written, as with `note`."""
    with suppress(OSError):
        click.echo(text, err=True)


def _say_error(message: str, hint: str | None) -> None:
    note(f"error: {message}")
    if hint:
        note(f"  → {hint}")


def _print_json(document: Any) -> None:  # noqa: ANN401 - a JSON document
    try:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    except OSError:
        # The error stands on stderr as well.
        discard(sys.stdout)
