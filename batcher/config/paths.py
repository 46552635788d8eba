"""Paths on disk: those below a home folder, and the CA file."""

import os
from collections.abc import Mapping
from pathlib import Path

from batcher.domain.errors import ConfigError
from batcher.domain.messages import Cause


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """Expand `~/…` with HOME of `environ`, and `~name/…` with the system's users."""
    home = environ.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home + path[1:]
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises where this leaves the text as it is


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
            hint=Cause.CORRECT_CA_FILE(),
        ) from error
