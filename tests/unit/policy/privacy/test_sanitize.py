"""Nothing that a model or a provider says moves a cursor, hides or reverses what a person reads."""

import json
import sys
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.policy.privacy.sanitize import is_utf8, one_line, sanitize, sanitize_json

ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("Grüße, 世界 🎉 naïve", "Grüße, 世界 🎉 naïve"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]52;c;Zm9v\x07", "\\x1b]52;c;Zm9v\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x00b\x7fc\x85", "a\\x00b\\x7fc\\x85"),
        ("a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"),
        ("safe\u202egnp.exe", "safe\\u202egnp.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("pay\u200bpal\ufeff", "pay\\u200bpal\\ufeff"),
        ("\u3164\u2800\u034f", "\\u3164\\u2800\\u034f"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\ud800", "\\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
    ],
)
def test_hidden_characters_are_shown(text: str, shown: str):
    assert sanitize(text) == shown
    assert sanitize(shown) == shown


def test_line_ends_and_tabs_stay_where_asked():
    assert sanitize("a\nb\tc\r\x1b", keep_breaks=True) == "a\nb\tc\\x0d\\x1b"


def test_no_control_or_format_character_of_all_of_unicode_passes():
    hidden = [
        chr(code) for code in range(sys.maxunicode + 1) if category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    shown = sanitize("".join(hidden))
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.count("\\") == len(hidden)


@given(ANY_TEXT)
def test_what_is_sanitized_can_be_encoded_and_says_the_same_when_done_again(text: str):
    shown = sanitize(text)
    shown.encode()
    assert sanitize(shown) == shown


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("a\nb\r\n  c\t d ", 20, "a b c d"),
        ("hello world", 11, "hello world"),
        ("hello world", 10, "hello wor…"),
        ("hello", 1, "…"),
        ("\x1b[0m", 20, "\\x1b[0m"),
        ("", 5, ""),
    ],
)
def test_one_line_is_cut_with_an_ellipsis(text: str, width: int, line: str):
    assert one_line(text, width) == line


@given(ANY_TEXT, st.integers(1, 40))
def test_one_line_is_one_line_of_at_most_its_width(text: str, width: int):
    line = one_line(text, width)
    assert len(line) <= width
    assert len(line.splitlines()) <= 1


@given(st.dictionaries(st.text(), st.recursive(st.text(), st.lists), max_size=5))
def test_a_json_document_means_the_same_and_shows_all_it_holds(document: dict[str, object]) -> None:
    clean = sanitize_json(json.dumps(document, ensure_ascii=False).encode())
    assert json.loads(clean) == document
    assert sanitize(clean.decode()) == clean.decode()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\x7f", r"\u007f"),
        ("\x9b", r"\u009b"),
        ("\u202e", r"\u202e"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\udb40\udc41"),
        ("é😀", "é😀"),
    ],
)
def test_what_json_leaves_raw_is_escaped_in_its_own_way(raw: str, clean: str) -> None:
    assert sanitize_json(f'{{\n"a": "{raw}"}}'.encode()) == f'{{\n"a": "{clean}"}}'.encode()


@pytest.mark.parametrize(("text", "is_one"), [("", True), ("é", True), ("a\udcff", False)])
def test_a_name_that_is_no_utf_8_is_known(text: str, is_one: bool) -> None:
    assert is_utf8(text) == is_one
