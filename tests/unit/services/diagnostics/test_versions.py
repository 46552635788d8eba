"""The versions that a support desk is told."""

import re
import sqlite3
import tomllib
from pathlib import Path

from batcher import __version__
from batcher.services.diagnostics.versions import DEPENDENCIES, versions

PROJECT = Path(__file__).parents[4] / "pyproject.toml"


def test_every_dependency_of_the_project_is_told():
    needed = tomllib.loads(PROJECT.read_text())["project"]["dependencies"]
    assert {re.split(r"[<>=\[ ]", each, maxsplit=1)[0] for each in needed} == set(DEPENDENCIES)


def test_versions_are_those_in_use():
    told = versions()
    assert (told["batcher"], told["sqlite"]) == (__version__, sqlite3.sqlite_version)
    assert "unknown" not in told.values()
