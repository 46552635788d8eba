"""The shape of the code: no swollen module, no swollen function, and every folder says what it is for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).parents[2] / "batcher"
MODULES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = sorted({module.parent for module in MODULES})

MODULE_CEILING = 400
FUNCTION_CEILING = 50
MEDIAN_CEILING = 120
#: Files on one level. Commands are one file each, however many there are.
FILES_CEILING = 15
COMMANDS = PACKAGE / "cli" / "commands"


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE.parent))


def long_functions(tree: ast.Module, ceiling: int) -> Iterator[str]:
    """Functions with more lines than the ceiling, from `def` to the last line; decorators do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > ceiling:
                yield f"{node.name} has {lines} lines"


def test_the_package_is_found() -> None:
    assert PACKAGE / "__init__.py" in MODULES


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_stays_under_the_ceiling(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MODULE_CEILING


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_function_stays_under_the_ceiling(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert list(long_functions(tree, FUNCTION_CEILING)) == []


def test_most_modules_are_far_below_the_ceiling() -> None:
    assert median(len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES) <= MEDIAN_CEILING


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder != COMMANDS], ids=name_of)
def test_a_folder_can_be_seen_at_a_glance(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= FILES_CEILING


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_is_a_package_that_says_what_it_is_for(folder: Path) -> None:
    entry = folder / "__init__.py"
    assert entry.is_file()
    assert ast.get_docstring(ast.parse(entry.read_text(encoding="utf-8")))


def test_the_counter_sees_a_function_that_is_one_line_too_long() -> None:
    source = "class A:\n    async def f(self):\n" + "        x = 1\n" * 3
    assert list(long_functions(ast.parse(source), 4)) == []
    assert list(long_functions(ast.parse(source), 3)) == ["f has 4 lines"]


#: `lazy_group` lists the commands, and `--help` describes them; `__main__` is the package run by `python -m`.
MAPPED = [folder for folder in FOLDERS if folder != COMMANDS]


@pytest.mark.parametrize("folder", MAPPED, ids=name_of)
def test_the_map_of_a_package_names_every_module(folder: Path) -> None:
    entries = [
        entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").exists()
    ]
    modules = {name for name in entries if not name.startswith("__")}
    map_ = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert {name for name in modules if not re.search(rf"\b{name}\b", map_)} == set()
