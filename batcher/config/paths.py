"""Paths on disk: the store and the CA file."""

import os
from collections.abc import Mapping
from pathlib import Path

from batcher.config import checks
from batcher.domain.errors import ConfigError

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRES = ("postgres", "postgresql")
_ADVICE = "give a path, such as batcher.db, or sqlite:///path/to/batcher.db"


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """Expand `~/…` with HOME of `environ`, and `~name/…` with the system's users."""
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home + path[1:]
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises where this leaves the text as it is


def store_path(value: object, where: str) -> str:
    """Return the store's file for a path or `sqlite:///path`.

    A URL may contain a password, so it is never repeated.
    """
    given = checks.text(value, where)
    scheme, sign, rest = given.partition("://")
    path = _sqlite_path(scheme.lower(), rest, where) if sign else given
    if path == ":memory:" or not path:
        raise ConfigError(f"{where}: the store must be a file; a resume continues from it", hint=_ADVICE)
    if path.endswith("/") or "\0" in path:
        raise ConfigError(f"{where} must name a file, not a folder", hint=_ADVICE)
    return path


def _sqlite_path(scheme: str, rest: str, where: str) -> str:
    """Return what follows `sqlite:///`: a relative path, or an absolute one after a fourth slash."""
    if scheme.partition("+")[0] in _POSTGRES:
        raise ConfigError(f"{where}: PostgreSQL is not supported yet; use a file", hint=_ADVICE)
    if scheme not in _SQLITE:
        raise ConfigError(f"{where}: the store can be a path or a sqlite:/// URL and nothing else", hint=_ADVICE)
    host, _, path = rest.partition("/")
    if host:
        raise ConfigError(
            f"{where}: a sqlite URL has three slashes, or four before an absolute path", hint=_ADVICE
        )
    if "?" in path:
        raise ConfigError(f"{where}: the store's URL takes no parameters", hint=_ADVICE)
    return path


def ca_path(given: str, environ: Mapping[str, str]) -> str:
    """Return the absolute path, so that a job resumed from another folder finds the file."""
    return os.path.abspath(expand_home(given, environ))  # noqa: PTH100 - the spelling stays, links are not followed


def check_ca_file(ca_file: str | None) -> None:
    """Raise ConfigError if the CA file cannot be read. Its contents are checked when TLS is set up."""
    if ca_file is None:
        return
    try:
        with Path(ca_file).open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(
            f"CA file {ca_file} cannot be read: {error.strerror}",
            hint="correct --ca-file, SSL_CERT_FILE or provider.ca_file, or leave them out to use the system's",
        ) from error
