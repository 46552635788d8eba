"""What a support desk asks first: which versions run here."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from batcher import __version__
from batcher.store.reports.support import sqlite_version

#: What batcher is made of; a test holds it against pyproject.toml.
DEPENDENCIES: Final = (
    "aiohttp",
    "aiolimiter",
    "alembic",
    "click",
    "jsonschema",
    "msgspec",
    "referencing",
    "rich",
    "sqlalchemy",
    "uvloop",
    "zstandard",
)


def versions() -> dict[str, str]:
    """Name → version: the program, Python, SQLite, the system, each dependency."""
    found = {
        "batcher": __version__,
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "sqlite": sqlite_version(),
        "platform": platform.platform(),
    }
    return found | {name: _version(name) for name in DEPENDENCIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
