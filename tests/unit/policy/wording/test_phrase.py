"""Phrases match as `re.search` does."""

import pytest

from batcher.policy.wording.phrase import Phrase


@pytest.mark.parametrize(
    ("text", "over_lines", "is_found"),
    [
        ("prompt too long", False, True),
        ("the PROMPT is Too Long", False, True),
        ("prompt\nis too long", False, False),
        ("prompt\nis too long", True, True),
        ("too long a prompt", True, False),
    ],
)
def test_a_phrase_is_found_in_any_case_and_over_lines_if_asked(text: str, *, over_lines: bool, is_found: bool):
    phrase = Phrase(r"\bprompt\b.*too long", over_lines=over_lines)
    assert (phrase.search(text) is not None) is is_found
    assert (phrase.search(text) is not None) is is_found, "also when it is compiled"
