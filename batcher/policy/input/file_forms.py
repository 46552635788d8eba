"""Recognize a file that is no JSON Lines at all, by its first bytes."""

import csv
import json
import re
from typing import Final

from msgspec import Struct

from batcher.policy.input.foreign_forms import Form, form_of_list

#: How much of a file is looked at.
HEAD_BYTES: Final = 1024 * 1024

_MAGIC: Final = (
    (b"PAR1", Form.PARQUET),
    (b"ARROW1", Form.PARQUET),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Form.SPREADSHEET),
    (b"BZh", Form.COMPRESSED),
    (b"\xfd7zXZ", Form.COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", Form.COMPRESSED),
    (b"Rar!", Form.COMPRESSED),
    (b"\x1f\x8b", Form.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", Form.COMPRESSED),
    # Before the mark of UTF-16, with which one of them begins.
    (b"\xff\xfe\0\0", Form.UTF_32),
    (b"\0\0\xfe\xff", Form.UTF_32),
    (b"\xff\xfe", Form.UTF_16),
    (b"\xfe\xff", Form.UTF_16),
)
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_OFFICE: Final = (b"xl/", b"vnd.oasis.opendocument.spreadsheet")
_TAR_MAGIC: Final = slice(257, 262)
_WEB_PAGE: Final = re.compile(rb"\s*<(?:!doctype|html|\?xml)", re.IGNORECASE)
_TABLE_ENDINGS: Final = re.compile(r"\.(csv|tsv)(\.gz|\.zst)?$", re.IGNORECASE)
_DELIMITERS: Final = ",\t;|"
_MOST_HEADER: Final = 20_000
#: Characters of a text without a byte order mark that are looked at; the share of them that are ASCII, and of NULs
#: in their other bytes.
_SAMPLE, _MOSTLY = 100, 0.8
_PRINTED: Final = bytes([*range(32, 127), *b"\t\r\n"])
_MOST_SPACE: Final = 1_000
#: How many lines must have as many cells as the first.
_COMPARED: Final = 6
#: A character that a JSON line or one of Git's lines begins with.
_NOT_A_HEADER: Final = re.compile(r'[\[{<>=|]|"[^"]*"\s*:|version https:')


class FileForm(Struct, frozen=True):
    """What a file is. For a CSV file: its columns and what separates them."""

    form: Form
    columns: tuple[str, ...] = ()
    delimiter: str = ","


def file_form(head: bytes, *, name: str) -> FileForm | None:
    """Return what the file is if it cannot be JSON Lines, from its first bytes, decompressed; else None."""
    binary = _binary_form(head)
    if binary is not None:
        return FileForm(binary)
    start = head.lstrip()
    if start[:1] in (b"{", b"["):
        form = _document_form(start)
        return None if form is None else FileForm(form)
    return _table_form(start, name=name)


def _binary_form(head: bytes) -> Form | None:
    """Return what a file is by its magic bytes."""
    found = next((form for magic, form in _MAGIC if head.startswith(magic)), None)
    if found is not None:
        return found
    if head.startswith(_ZIP):
        return Form.SPREADSHEET if any(mark in head for mark in _OFFICE) else Form.ZIP
    if head[_TAR_MAGIC] == b"ustar":
        return Form.COMPRESSED
    return _wide_form(head) or (Form.WEB_PAGE if _WEB_PAGE.match(head) else None)


def _wide_form(head: bytes) -> Form | None:
    """Return whether each character has one byte and NULs, as UTF-16 and UTF-32 without a byte order mark have."""
    for form, width in ((Form.UTF_32, 4), (Form.UTF_16, 2)):
        sample = head[: min(len(head) // width, _SAMPLE) * width]
        for place in (0, width - 1):
            characters = sample[place::width]
            nuls = sample.count(0) - characters.count(0)
            printed = len(characters) - len(characters.translate(None, _PRINTED))
            others = len(sample) - len(characters)
            if nuls > others * _MOSTLY and printed > len(characters) * _MOSTLY:
                return form
    return None


def _document_form(start: bytes) -> Form | None:
    """Return whether the file's first JSON document is an array, or is spread over several lines."""
    line, _, rest = start.partition(b"\n")
    if start.startswith(b"["):
        return _array_form(line, is_only_line=not rest.strip())
    text = start.decode("utf-8", "ignore")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        # A document longer than what was read.
        return Form.PRETTY if len(start) >= HEAD_BYTES - _MOST_SPACE and line.strip() == b"{" else None
    return Form.PRETTY if "\n" in text[:end] else None


def _array_form(line: bytes, *, is_only_line: bool) -> Form | None:
    """Return whether a file that begins with `[` is one array; a list on each line is none."""
    after = line[1:].lstrip()[:1]
    if not after:
        return None if is_only_line else Form.ARRAY
    try:
        items = json.loads(line)
    except (ValueError, RecursionError):
        return Form.ARRAY if after in (b"{", b"[") else None
    if not is_only_line or not isinstance(items, list) or form_of_list(items) is not Form.ARRAY:
        return None
    return Form.ARRAY if any(isinstance(each, dict) for each in items) else None


def _table_form(start: bytes, *, name: str) -> FileForm | None:
    """Return the columns of a CSV file: by its name, or because its first lines have equally many cells."""
    text = start[:HEAD_BYTES].decode("utf-8-sig", "ignore")
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    if not lines or len(lines[0]) > _MOST_HEADER or _NOT_A_HEADER.match(lines[0]):
        return None
    delimiter = max(_DELIMITERS, key=lines[0].count)
    columns = _cells(lines[0], delimiter)
    rows = [_cells(line, delimiter) for line in lines[1:_COMPARED]]
    alike = len(columns) > 1 and rows and all(len(row) == len(columns) for row in rows)
    if not alike and _TABLE_ENDINGS.search(name) is None:
        return None
    return FileForm(Form.CSV, tuple(columns), delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except (csv.Error, StopIteration):
        return []
