"""Settings: one place spells each of them, and all else is made from it or refers to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.config.table import SETTINGS

PACKAGE = Path(__file__).parents[2] / "batcher"
TABLE = PACKAGE / "config" / "table.py"
MODULES = [module for module in sorted(PACKAGE.rglob("*.py")) if module != TABLE]


def spellings() -> Iterator[str]:
    """Every flag, variable and place in batcher.toml of a setting."""
    for setting in SETTINGS:
        if setting.has_flag:
            yield setting.flag
        if setting.can_be_denied:
            yield setting.denial
        yield from (name for name in (setting.off_flag, setting.variable, setting.toml_path) if name)


SPELLED = set(spellings())


def found_in(tree: ast.Module) -> list[str]:
    """The strings that spell a setting. A sentence or an example may name one."""
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return sorted(SPELLED & {text for text in strings if isinstance(text, str)})


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_other_module_spells_a_setting(module: Path) -> None:
    assert found_in(ast.parse(module.read_text(encoding="utf-8"))) == []


def test_a_spelled_setting_is_seen() -> None:
    assert found_in(ast.parse('x = ["--rpm", "BATCHER_DB", "retry.timeout", "give --rpm"]')) == [
        "--rpm",
        "BATCHER_DB",
        "retry.timeout",
    ]
