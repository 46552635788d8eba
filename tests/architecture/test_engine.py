"""Only `batcher.store.sqlite` speaks SQLite; everything else takes a store as `ports.Store`."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "batcher"
ENGINE = PACKAGE / "store" / "sqlite"
OTHERS = sorted(module for module in PACKAGE.rglob("*.py") if ENGINE not in module.parents)

#: Of the engine's library and of its statements.
WORDS = re.compile(
    r"\bsqlite3\b|PRAGMA|json_each|json_group_array|dialects\.sqlite|data_version|sqlite_sequence|sqlite_master"
    r"|\bexec_driver_sql\b"
)
#: The locks of the system have a module: the store holds some, and so do output files that are being written.
LOCKS = re.compile(r"\bflock\(|\bimport fcntl\b")
WITH_LOCKS = {"os_locks.py"}
#: Sets the size of a pipe.
WITH_PIPES = {"services/jobs/reader_process.py"}


@pytest.mark.parametrize("module", OTHERS, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_module_outside_the_engine_names_it(module: Path) -> None:
    found = [line for line in module.read_text(encoding="utf-8").splitlines() if WORDS.search(line)]
    assert found == []


def test_the_locks_of_the_system_are_taken_in_one_module() -> None:
    found = {
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        if LOCKS.search(module.read_text(encoding="utf-8"))
    }
    assert found == WITH_LOCKS | WITH_PIPES
