"""The versions of the program and what it runs on."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from batcher import __version__
from batcher.services.store.open_store import engine_version

#: The dependencies of batcher; a test compares them with pyproject.toml.
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
    """Return names and versions: the program, Python, SQLite, the system, each dependency."""
    found = {
        "batcher": __version__,
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "sqlite": engine_version(),
        "platform": platform.platform(),
    }
    return found | {name: _version(name) for name in DEPENDENCIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
