"""Print errors for people and scripts (what is wrong, where, what to do next) and choose the exit code."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import click
from msgspec import structs

from batcher.cli.terminal.messages import words
from batcher.cli.terminal.misuse import refusal_of_the_system, several_files
from batcher.cli.terminal.output import note
from batcher.cli.terminal.streams import discard
from batcher.domain.errors import BatcherError, InputError, Paused, UsageError
from batcher.domain.messages import Words
from batcher.domain.requests import BadLines
from batcher.policy.privacy.sanitize import sanitize
from batcher.policy.wording.url_secrets import mask_urls

#: Most lines about invalid lines.
_MOST_TEXTS = 100
#: The kind of what no rule foresees.
_INTERNAL = "internal"
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
    several = several_files(args)
    if several is not None:
        _report(UsageError.kind, several.message, several.hint, args)
    else:
        _report(UsageError.kind, error.format_message(), f"`{command} --help`", args)
    return WRONG_USE


def report_error(error: Exception, args: Sequence[str]) -> int:
    """Report an error of this package, or an unexpected one; returns the exit code."""
    if "--debug" in args:
        import traceback  # noqa: PLC0415 - only with --debug

        _say_verbatim(sanitize(mask_urls("".join(traceback.format_exception(error))), keep_breaks=True))
    error = _innermost(error)
    error = refusal_of_the_system(error) or error
    if isinstance(error, InputError) and (error.bad or error.forms):
        _report_lines(error, args)
    elif isinstance(error, BatcherError):
        _report(error.kind, error.message, error.hint, args)
    elif isinstance(error, MemoryError):
        hint = "free some, or raise the limit (`ulimit -v unlimited`), then try again; nothing stored is lost"
        _report(_INTERNAL, "there is not enough memory", hint, args)
    else:
        what = mask_urls(f"{type(error).__name__}: {error}")
        _report(
            _INTERNAL,
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


def _report(kind: str, message: Words, hint: Words | None, args: Sequence[str]) -> None:
    message, hint = words(message), None if hint is None else words(hint)
    if "--json" in args:
        _print_json({"error": {"kind": kind, "message": message, "hint": hint}})
    _say_error(message, hint)


def _report_lines(error: InputError, args: Sequence[str]) -> None:
    bad = sorted(error.bad, key=lambda each: each.line)
    message, hint = words(error.message), None if error.hint is None else words(error.hint)
    if "--json" in args:
        lines = [{"line": each.line, "custom_id": each.custom_id, "reason": each.reason} for each in bad]
        forms = [{**structs.asdict(each), "hint": words(each.hint)} for each in error.forms]
        said = {"kind": error.kind, "message": message, "hint": hint}
        _print_json({"error": {**said, "count": error.count, "lines": lines, "forms": forms}})
        return
    for text in bad_line_texts(error.source, error.groups, error.count):
        note(text)
    _say_error(message, hint)


def _say_verbatim(text: str) -> None:
    """Print text to stderr as it is; lost if stderr cannot be written, as with `note`."""
    with suppress(OSError):
        click.echo(text, err=True)


def bad_line_texts(source: str, groups: Sequence[BadLines], count: int) -> Iterator[str]:
    """Yield what to print about invalid lines: each reason with its lines, and how many are not shown."""
    texts: list[tuple[int, str]] = []
    shown = 0
    for group in groups:
        of_group = group.texts(source)
        if len(texts) + len(of_group) <= _MOST_TEXTS:
            texts += of_group
            shown += group.count
    for _, text in sorted(texts):
        yield text
    if count > shown:
        yield f"… and {count - shown:,} more (--json lists all)"


def _say_error(message: str, hint: str | None) -> None:
    note(f"error: {message}")
    for line in (hint or "").splitlines():
        note(f"  → {line}")


def _print_json(document: Any) -> None:  # noqa: ANN401 - a JSON document
    try:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
    except OSError:
        # The error stands on stderr as well.
        discard(sys.stdout)
