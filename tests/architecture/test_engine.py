"""Only `batcher.store.sqlite` speaks SQLite; everything else takes a store as `ports.Store`."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "batcher"
ENGINE = PACKAGE / "store" / "sqlite"
OTHERS = sorted(module for module in PACKAGE.rglob("*.py") if ENGINE not in module.parents)
CONTRACT = PACKAGE.parent / "tests" / "contract"
#: Tests of the contract of every store. The dialects are compared by their names.
CONTRACT_TESTS = sorted(
    test
    for test in CONTRACT.rglob("*.py")
    if CONTRACT / "store" / "sqlite" not in test.parents and test != CONTRACT / "store" / "test_dialect.py"
)

#: Of the engine's library and of its statements.
WORDS = re.compile(
    r"\bsqlite3\b|PRAGMA|json_each|json_group_array|dialects\.sqlite|data_version|sqlite_sequence|sqlite_master"
    r"|\bexec_driver_sql\b"
)
#: In a test of the contract: the engine by any name.
ENGINE_NAMED = re.compile(rf"{WORDS.pattern}|sqlite", re.IGNORECASE)
#: The locks of the system have a module: the store holds some, and so do output files that are being written.
LOCKS = re.compile(r"\bflock\(|\bimport fcntl\b")
WITH_LOCKS = {"os_locks.py"}
#: Sets the size of a pipe.
WITH_PIPES = {"services/jobs/reader_process.py"}


@pytest.mark.parametrize("module", OTHERS, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_module_outside_the_engine_names_it(module: Path) -> None:
    found = [line for line in module.read_text(encoding="utf-8").splitlines() if WORDS.search(line)]
    assert found == []


@pytest.mark.parametrize("test", CONTRACT_TESTS, ids=lambda test: str(test.relative_to(CONTRACT)))
def test_a_test_of_the_contract_names_no_engine(test: Path) -> None:
    found = [line for line in test.read_text(encoding="utf-8").splitlines() if ENGINE_NAMED.search(line)]
    assert found == []


def test_the_locks_of_the_system_are_taken_in_one_module() -> None:
    found = {
        str(module.relative_to(PACKAGE))
        for module in PACKAGE.rglob("*.py")
        if LOCKS.search(module.read_text(encoding="utf-8"))
    }
    assert found == WITH_LOCKS | WITH_PIPES
