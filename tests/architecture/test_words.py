"""Words: code and documents use the field's terms and plain English, so a word list keeps the tone.

Each entry has a plain word that says the same: see "Plain technical English" in CONTRIBUTING.md.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A pattern of words that are not used, and what to write instead.
INSTEAD = {
    r"heed(s|ed|ing)?": "obey, adopt",
    r"mend(s|ed|ing)?": "correct, repair",
    r"anew|afresh": "again",
    r"bur(y|ied|ies)": "dead-letter",
    r"kin": "kind",
    r"told|tells?|telling": "say, report",
    r"nobody|whoever": "no one, the process that",
    r"nowhere|whence|lest|amid": "plain words of place and reason",
    r"twins?": "duplicate",
    r"rungs?": "step",
    r"crews?": "pool",
    r"errands?": "dispatch",
    r"rosters?": "active jobs",
    r"misfits?": "oversized",
    r"the door": "validation",
    r"at home": "on loopback",
    r"for ever": "forever, or a limit",
    r"(is|are|was|were|go|goes) out": "in flight, is sent",
}
UNUSED = re.compile(r"\b({})\b".format("|".join(INSTEAD)), re.IGNORECASE)
FOLDERS = ("batcher", "docs", "jobs", "migrations")
FILES = [
    file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*")) if file.suffix in {".py", ".md"}
]
FILES += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def found_in(text: str) -> list[str]:
    """The lines with an unused word, as `number: word`; identifiers count by their parts."""
    lines = enumerate(text.replace("_", " ").splitlines(), 1)
    return [f"{number}: {match[0]}" for number, line in lines for match in UNUSED.finditer(line)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_uses_plain_words(file: Path) -> None:
    assert found_in(file.read_text(encoding="utf-8")) == []


def test_an_identifier_is_read_word_by_word() -> None:
    assert found_in("x = 1\nfor _crew in told_s:") == ["2: crew", "2: told"]
    assert found_in("a scale, a reminder, recommended, 'settled'") == []
