"""Advised commands reach the same store and settings: they repeat `--db` and `--config` of this command."""

import re
import shlex
from typing import Final

from batcher.config.table import DB

#: A command in backticks, and one after `next:` or `so far:`.
_QUOTED: Final = re.compile(r"`(batcher [^`]+)`")
_PLAIN: Final = re.compile(
    r"\b(next: (?:fix the lines, then )?|so far: |use it: )(batcher [^`()]*?)(?=\)|   \(| writes |$)"
)
_given: dict[str, str] = {}


def remember(db: str | None, config: str | None) -> None:
    """Note what this command was given; None: nothing."""
    _given.clear()
    _given.update({flag: value for flag, value in ((DB.flag, db), ("--config", config)) if value})


def completed(text: str) -> str:
    """Return the text with the options in every command that it advises."""
    if not _given or "batcher " not in text:
        return text
    text = _QUOTED.sub(lambda found: f"`{_with_options(found[1])}`", text)
    return _PLAIN.sub(lambda found: found[1] + _with_options(found[2]), text)


def _with_options(command: str) -> str:
    if command.startswith("batcher simulate") or "--help" in command:
        return command
    missing = [f"{flag} {shlex.quote(value)}" for flag, value in _given.items() if f"{flag} " not in command]
    return " ".join([command, *missing])
