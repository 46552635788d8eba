"""Only `batcher.store.sqlite` speaks SQLite; everything else takes a store as `ports.Store`."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "batcher"
ENGINE = PACKAGE / "store" / "sqlite"
OTHERS = sorted(module for module in PACKAGE.rglob("*.py") if ENGINE not in module.parents)

#: Of the engine's library, of its statements, and of its locks.
WORDS = re.compile(
    r"\bsqlite3\b|PRAGMA|json_each|json_group_array|dialects\.sqlite|data_version|sqlite_sequence|sqlite_master"
)


@pytest.mark.parametrize("module", OTHERS, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_module_outside_the_engine_names_it(module: Path) -> None:
    found = [line for line in module.read_text(encoding="utf-8").splitlines() if WORDS.search(line)]
    assert found == []
