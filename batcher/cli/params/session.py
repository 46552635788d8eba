"""The options that every command shares. They may stand before or after the command's name."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from batcher.cli import store_options
from batcher.cli.params.setting_options import Option, add_options, option_of
from batcher.config import FileSettings, Flags, load_file, resolve_process
from batcher.config.table import DB, LOG_FILE, LOG_FORMAT
from batcher.domain.settings import ProcessSettings

F = TypeVar("F", bound=Callable[..., Any])

_SHARED: list[Option] = [
    option_of(DB),
    click.option("--config", metavar="FILE", help="Settings file.  [default: batcher.toml, if it exists]"),
    click.option("-v", "--verbose", count=True, help="Log every attempt."),
    click.option("-q", "--quiet", is_flag=True, default=None, help="Show no progress, only the result."),
    click.option("--debug", is_flag=True, default=None, help="Show a traceback with an error."),
    option_of(LOG_FILE),
    option_of(LOG_FORMAT),
]
_NAMES = (DB.name, "config", "verbose", "quiet", "debug", LOG_FILE.name, LOG_FORMAT.name)


class OutputClosed(Exception):
    """The process that read our stdout has closed it."""


@dataclass(slots=True)
class Session:
    """The shared options of one call, and the settings that they lead to."""

    given: dict[str, Any] = field(default_factory=dict)
    _file: FileSettings | None = None

    def take(self, options: dict[str, Any]) -> None:
        """Add options. Those after the command's name override those before it."""
        self.given.update({name: value for name, value in options.items() if value})

    @property
    def quiet(self) -> bool:
        """Whether progress and notes are switched off."""
        return bool(self.given.get("quiet"))

    @property
    def verbose(self) -> int:
        """How often `-v` was given."""
        return int(self.given.get("verbose", 0))

    @property
    def log_file(self) -> str | None:
        """The log's path; None: the log goes to stderr."""
        return self.given.get(LOG_FILE.name)

    @property
    def log_format(self) -> str:
        """The log's format: `text` or `json`."""
        return str(self.given.get(LOG_FORMAT.name) or LOG_FORMAT.default_shown)

    def file(self) -> FileSettings:
        """Read the settings file, once. Raises ConfigError."""
        if self._file is None:
            named = self.given.get("config")
            self._file = load_file(Path(named) if named else None, Path.cwd())
        return self._file

    def process(self, *, concurrency: int | None = None) -> ProcessSettings:
        """Resolve the settings of the process, which no job remembers. Raises ConfigError."""
        flags = Flags(db=self.given.get(DB.name), concurrency=concurrency)
        return resolve_process(flags, os.environ, self.file())

    @property
    def db(self) -> str:
        """The store's path."""
        return self.process().db

    @property
    def db_to_read(self) -> str:
        """The store's path for commands that only read. Raises UnknownJob if the named store does not exist."""
        from batcher.services.jobs.manage import require_store  # noqa: PLC0415 - heavy modules only where they are used

        path = self.db
        if self.has_named_store:
            require_store(path)
        return path

    @property
    def has_named_store(self) -> bool:
        """Whether the command or its environment names the store. A path from batcher.toml may not exist yet."""
        return bool(self.given.get(DB.name) or os.environ.get(DB.variable or "", "").strip())


def shared(command: F) -> F:
    """Add the shared options to a command. `@click.pass_obj` gives it the Session that holds them."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
        context = click.get_current_context()
        session = context.ensure_object(Session)
        session.take({name: kwargs.pop(name) for name in _NAMES})
        store_options.remember(session.given.get(DB.name), session.given.get("config"))
        try:
            return context.invoke(command, *args, **kwargs)
        except BrokenPipeError as error:
            # click would exit with 1, but piping into `head` is no error.
            raise OutputClosed from error

    return add_options(command, wrapper, _SHARED)
