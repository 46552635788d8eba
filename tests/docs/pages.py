"""The pages of the documentation as tests see them: fences, headings, citations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Every Markdown page that a user or a contributor reads.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "jobs" / "README.md", *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_CITATION = re.compile(r"\bdocs/(?P<page>[\w-]+\.md)(?:#(?P<anchor>[\w-]+))?")


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block of a page. `line` is the number of its first line of code."""

    kind: str
    text: str
    line: int


def fences(page: Path, *kinds: str) -> list[Fence]:
    """The code blocks of these kinds, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Fence(match["kind"], match["text"], text.count("\n", 0, match.start("text")) + 1)
        for match in _FENCE.finditer(text)
    ]
    return [fence for fence in found if fence.kind in kinds]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown's `toc` extension and GitHub make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
        for heading in _HEADING.findall(text)
    }


def citations(text: str) -> Iterator[tuple[str, str | None]]:
    """Each citation of a page of docs in a text; the anchor is None if only the page is cited."""
    for match in _CITATION.finditer(text):
        yield match["page"], match["anchor"]
