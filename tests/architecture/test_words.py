"""The voice of the code: plain technical English, without the private words that crept in once."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "batcher").rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]

#: A private word, and what to write instead.
INSTEAD = {
    r"heed\w*": "obey, handle",
    r"mend\w*": "fix",
    r"anew|afresh": "again",
    r"bury|buried|buries": "dead-letter",
    r"kin": "similar parameters",
    r"told|untold|tells?|telling": "reported, notified, says, shows",
    r"(?:is|are|was|were|went|goes|go) out": "in flight, sent",
    r"nobody\w*|whoever|whomever": "no one, or a passive",
    r"nowhere|whence|lest|amid": "a plain clause",
    r"twins?": "a row with the same fingerprint",
    r"rungs?|crew|errands?|roster|misfits?": "step, task pool, dispatch, active jobs, oversized requests",
    r"the door": "validation",
    r"at home": "on loopback and private hosts",
    r"for ever": "forever, without end",
}
_WORDS = {
    re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", re.IGNORECASE): instead
    for word, instead in INSTEAD.items()
}


def private_words(text: str) -> list[str]:
    """Each private word of the text with its line and what to write instead; `_` separates words, too."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for word, instead in _WORDS.items():
            found += [f"{number}: {match[0]} → {instead}" for match in word.finditer(line.replace("_", " "))]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_has_no_private_words(file: Path) -> None:
    assert private_words(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["Mend it.", "def bury_followers():", "what is out now", "# nobody waits"])
def test_the_list_finds_words_in_sentences_and_in_names(text: str) -> None:
    assert len(private_words(text)) == 1


def test_the_list_leaves_ordinary_words_alone() -> None:
    assert private_words("recommend, kind, amend, skin, outdoors, commands, intelligible") == []
