"""Only surfaces and their catalogue word what people read: below them no text holds a command of the program."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from batcher.cli.lazy_group import COMMANDS
from batcher.domain.messages import Cause

PACKAGE = Path(__file__).parents[2] / "batcher"
#: The surfaces, and the words that they share.
WORDED = ("cli", "api", "messages")
BELOW = sorted(module for module in PACKAGE.rglob("*.py") if module.relative_to(PACKAGE).parts[0] not in WORDED)
#: A command in backticks, or one with an argument or an option after it: `# batcher doctor` is a title.
COMMAND = re.compile(rf"`batcher |\bbatcher (?:{'|'.join(COMMANDS)})(?: [a-z]+)? (?:[A-Z]{{3,}}|-)")
#: The catalogue: every cause has its words in one of its modules, and is the cause of something.
MESSAGES = PACKAGE / "domain" / "messages.py"


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines; docstrings, which no user reads, are left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


#: An option of the command line, as a flag; `{--base-url}` in a template is worded by the surface.
FLAG = re.compile(r"(?<![\w{-])--[a-z][a-z-]*")
#: Where the flags of settings are spelled, and the flags of other programs.
SPELLED = {"config/table.py", "config/setting.py"}
OF_OTHERS = {"--long", "--data-binary"}


@pytest.mark.parametrize("module", BELOW, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_text_below_the_surfaces_holds_a_command(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    assert [f"{line}: {text}" for line, text in texts(tree) if COMMAND.search(text)] == []


def flags_in(tree: ast.AST) -> set[str]:
    return {flag for _, text in texts(tree) for flag in FLAG.findall(text)} - OF_OTHERS


@pytest.mark.parametrize("module", BELOW, ids=lambda module: str(module.relative_to(PACKAGE)))
def test_no_text_below_the_surfaces_names_a_flag(module: Path) -> None:
    if str(module.relative_to(PACKAGE)) not in SPELLED:
        assert flags_in(ast.parse(module.read_text(encoding="utf-8"))) == set()


def test_a_flag_is_seen() -> None:
    assert flags_in(ast.parse('x = f"give --rpm N, {1}--set a, {{--url}}, a--b"')) == {"--rpm", "--set"}


def test_a_command_is_seen() -> None:
    source = 'def f():\n    "Print `batcher run`."\n    return f"see `batcher dlq show {1}`", "batcher run FILE"'
    found = [text for _, text in texts(ast.parse(source)) if COMMAND.search(text)]
    assert found == ["batcher run FILE", "see `batcher dlq show "]


def test_every_cause_has_a_place_where_it_arises() -> None:
    modules = [*PACKAGE.rglob("*.py")]
    used = {
        name
        for module in modules
        if module != MESSAGES and "messages" not in module.relative_to(PACKAGE).parts[:1]
        for name in re.findall(r"\bCause\.([A-Z_0-9]+)\b", module.read_text(encoding="utf-8"))
    }
    assert set(Cause.__members__) - used == set()
