"""Names: one class name has one meaning, and a test stands where the module that it tests stands."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "batcher"
TESTS = [file for kind in ("unit", "contract") for file in sorted((ROOT / "tests" / kind).rglob("test_*.py"))]


def classes() -> dict[str, list[str]]:
    """The modules of each class name."""
    found = defaultdict(list)
    for module in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(str(module.relative_to(ROOT)))
    return found


def test_a_class_name_has_one_meaning() -> None:
    assert {name: modules for name, modules in classes().items() if len(modules) > 1} == {}


def is_named_after(test: Path, folder: Path) -> bool:
    """Whether the folder has a module or a subpackage that the test is named after, an aspect behind it or not."""
    name = test.stem.removeprefix("test_")
    places = [entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or entry.is_dir()]
    return any(name == place or name.startswith(f"{place}_") for place in places)


@pytest.mark.parametrize("test", TESTS, ids=lambda test: str(test.relative_to(ROOT)))
def test_a_test_is_named_after_a_module_in_the_same_place(test: Path) -> None:
    parts = test.parent.relative_to(ROOT / "tests").parts[1:]
    top = ROOT / "tests" if parts[:1] in (("support",), ("benchmarks",)) else PACKAGE
    assert top.joinpath(*parts).is_dir()
    assert is_named_after(test, top.joinpath(*parts))
