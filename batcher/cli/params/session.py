"""The options every command shares, taken before or after the command's name."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import Any, TypeVar

import click

from batcher.config import FileSettings, Flags, load_file, resolve_process
from batcher.domain.settings import ProcessSettings

F = TypeVar("F", bound=Callable[..., Any])

_SHARED: list[Callable[[Any], Any]] = [
    click.option("--db", metavar="PATH", help="The store.  [env: BATCHER_DB; default: batcher.db]"),
    click.option("--config", metavar="FILE", help="Settings file.  [default: batcher.toml, if there is one]"),
    click.option("-v", "--verbose", count=True, help="Say more: every attempt."),
    click.option("-q", "--quiet", is_flag=True, default=None, help="No progress."),
    click.option("--debug", is_flag=True, default=None, help="Tracebacks."),
    click.option("--log-file", metavar="FILE", help="Append the log to a file instead of stderr."),
    click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log.  [default: text]"),
]
_NAMES = ("db", "config", "verbose", "quiet", "debug", "log_file", "log_format")


class ReaderGone(Exception):
    """Whoever read our answer has gone."""


@dataclass(slots=True)
class Session:
    """What the shared options of one call say, and what is read on their behalf."""

    given: dict[str, Any] = field(default_factory=dict)
    _file: FileSettings | None = None

    def take(self, options: dict[str, Any]) -> None:
        """Options after the command's name win over those before it."""
        self.given.update({name: value for name, value in options.items() if value})

    @property
    def quiet(self) -> bool:
        """No progress."""
        return bool(self.given.get("quiet"))

    @property
    def verbose(self) -> int:
        """How much to say."""
        return int(self.given.get("verbose", 0))

    @property
    def log_file(self) -> str | None:
        """Where the log goes; None: to stderr."""
        return self.given.get("log_file")

    @property
    def log_format(self) -> str:
        """Text or json."""
        return str(self.given.get("log_format") or "text")

    def file(self) -> FileSettings:
        """The settings file, read once. Raises ConfigError."""
        if self._file is None:
            named = self.given.get("config")
            self._file = load_file(Path(named) if named else None, Path.cwd())
        return self._file

    def process(self, *, concurrency: int | None = None) -> ProcessSettings:
        """What belongs to the process."""
        flags = Flags(db=self.given.get("db"), concurrency=concurrency)
        return resolve_process(flags, os.environ, self.file())

    @property
    def db(self) -> str:
        """The store's path."""
        return self.process().db

    @property
    def db_to_look(self) -> str:
        """The same for who only looks. Raises UnknownJob where a person named a store that is not there."""
        from batcher.services.jobs.manage import require_store  # noqa: PLC0415 - heavy modules only where they are used

        path = self.db
        if self.names_store:
            require_store(path)
        return path

    @property
    def names_store(self) -> bool:
        """Whether a person named the store; what batcher.toml says is for the day when there is one."""
        return bool(self.given.get("db") or os.environ.get("BATCHER_DB", "").strip())


def shared(command: F) -> F:
    """Give a command the shared options; `@click.pass_obj` hands it the Session they fill."""

    def taking(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and gives
        context = click.get_current_context()
        session = context.ensure_object(Session)
        session.take({name: kwargs.pop(name) for name in _NAMES})
        try:
            return context.invoke(command, *args, **kwargs)
        except BrokenPipeError as error:
            # click would make this exit 1; who pipes into `head` has done nothing wrong.
            raise ReaderGone from error

    wrapped: Any = update_wrapper(taking, command)
    for option in reversed(_SHARED):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators keep what they are given
