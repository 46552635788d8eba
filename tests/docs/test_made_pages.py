"""What is made from the commands and from the table of settings is what stands in the files."""

import re

import pytest
from cogapp import Cog  # type: ignore[import-untyped]  # it has no types

from tests.docs.pages import ROOT

COGGED = re.search(r"^COGGED := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
FILES = [] if COGGED is None else COGGED[1].split()


@pytest.mark.parametrize("file", FILES)
def test_a_made_part_is_as_it_would_be_made_now(file: str) -> None:
    assert Cog().main(["cog", "--check", str(ROOT / file)]) == 0, "`make pages` writes it again"


def test_every_file_with_a_made_part_is_listed() -> None:
    files = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "batcher").rglob("*.py"), *ROOT.glob("*.md")]
    marked = {str(file.relative_to(ROOT)) for file in files if "[[[cog" in file.read_text(encoding="utf-8")}
    assert marked == set(FILES)
