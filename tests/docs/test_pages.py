"""The documentation is true: its commands run, its links and citations lead somewhere, its examples load."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from batcher.config import load_file
from tests.docs.console import commands, is_run, matches, python_session, session
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, citations, fences

_CITED_FROM = [
    *sorted((ROOT / "batcher").rglob("*.py")),
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "migrations").rglob("*.py")),
    *PAGES,
    ROOT / "Makefile",
    ROOT / "pyproject.toml",
    ROOT / "CHANGELOG.md",
]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)")
_PATH = re.compile(r"`((?:batcher|tests|migrations|docs|jobs)/[\w./-]*\w/?)`")
_PRIVATE = re.compile(r"\b(?:PROVIDERS|RATE|DESIGN|CONTRACT|RELIABILITY|SCALE)(?:\.md|\b *§|\b *\()")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("file", _CITED_FROM, ids=name_of)
def test_every_citation_leads_to_a_page_and_a_heading(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lost = [
        f"docs/{page}#{anchor or ''}"
        for page, anchor in citations(text)
        if not (DOCS / page).is_file() or (anchor is not None and anchor not in anchors(DOCS / page))
    ]
    assert lost == []


@pytest.mark.parametrize("file", [file for file in _CITED_FROM if file.name != Path(__file__).name], ids=name_of)
def test_nothing_cites_a_document_that_is_not_in_the_repository(file: Path) -> None:
    assert _PRIVATE.findall(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(f"{target}#{anchor}")
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert [path for path in _PATH.findall(page.read_text(encoding="utf-8")) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "console", "sh")], ids=name_of)
def test_every_command_ends_as_the_page_says_and_prints_what_it_shows(page: Path) -> None:
    for fence, command, ran in session(page):
        where = f"{page.name}:{fence.line}: $ {command.words}"
        assert ran.exit == command.exit, f"{where}\n{ran.output}"
        if fence.kind == "console":
            assert matches(command.shown, ran.output), f"{where}\n{ran.output}"


def test_what_is_installed_and_made_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {project["name"], *(f"{project['name']}[{extra}]" for extra in project["optional-dependencies"]), "."}
    for page in PAGES:
        for command in (each for fence in fences(page, "console", "sh") for each in commands(fence)):
            words = command.words.split()
            if words[0] == "make":
                assert words[1] in targets, command.words
            elif words[:2] == ["pip", "install"]:
                assert words[2].strip("'\"") in known, command.words
            else:
                assert is_run(command) or words[0] in {"eval", "git"}, command.words


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "python")], ids=name_of)
def test_every_python_example_runs(page: Path) -> None:
    for fence, ran in python_session(page):
        assert ran.exit == 0, f"{page.name}:{fence.line}\n{ran.output}"


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "toml")], ids=name_of)
def test_every_settings_file_is_one_that_the_program_takes(page: Path, tmp_path: Path) -> None:
    for fence in fences(page, "toml"):
        (tmp_path / "batcher.toml").write_text(fence.text, encoding="utf-8")
        load_file(None, tmp_path)


@pytest.mark.parametrize("page", [page for page in PAGES if fences(page, "json", "jsonl")], ids=name_of)
def test_every_json_example_is_json(page: Path) -> None:
    for fence in fences(page, "json"):
        json.loads(fence.text)
    for fence in fences(page, "jsonl"):
        for line in fence.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=name_of)
def test_every_page_is_in_the_menu(page: Path) -> None:
    assert re.search(rf"\b{re.escape(page.name)}\b", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_contributing_says_of_twenty_things_where_to_change_them() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where to change what")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 20
    assert all(_PATH.search(row) for row in rows)
