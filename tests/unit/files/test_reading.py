"""Lines out of files of every kind."""

import gzip
import hashlib
import io
import os
import threading
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batcher.domain.errors import InputError
from batcher.files.reading import KEPT_HEAD, digest, read_lines
from batcher.files.source import open_source
from batcher.policy.input.strict_json import MAX_LINE_BYTES
from tests.support.messages import words


class Dribble(io.BytesIO):
    """Gives a few bytes a read, as a pipe may."""

    def __init__(self, content, size):
        super().__init__(content)
        self._few = size

    def read(self, size=-1, /):
        return super().read(min(size, self._few))


def lines(content):
    return [(line.number, line.data) for line in read_lines(io.BytesIO(content), name="f")]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"a", [(1, b"a")]),
        (b"a\n", [(1, b"a")]),
        (b"a\nb", [(1, b"a"), (2, b"b")]),
        (b"a\r\nb\r\n", [(1, b"a"), (2, b"b")]),
        (b"\n\na\n \t\r\n\nb\n\n", [(3, b"a"), (6, b"b")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbf\n\n", []),
        (b"a\rb\x0b\x0c\xc2\x85\xe2\x80\xa8c\n", [(1, b"a\rb\x0b\x0c\xc2\x85\xe2\x80\xa8c")]),
        (b"  a \n", [(1, b"  a ")]),
        (b"\n" * 5, []),
    ],
)
def test_lines_end_with_a_line_feed_alone_and_blank_ones_count(content, expected):
    assert lines(content) == expected


@given(st.lists(st.binary(max_size=6), max_size=12).map(b"\n".join), st.integers(1, 5))
@example(b"\x1a", 1)
@example(b"{}\x1a", 1)
@example(b"{}\n\x1a\n{}\r\n\x1a\x1a", 2)
def test_however_the_bytes_arrive_the_lines_are_the_same(content, size):
    *lines, last = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    # Ctrl-Z ends a text of DOS. Concatenated texts have it as a line of its own.
    expected = [
        (number, data)
        for number, line in enumerate([*lines, last.rstrip(b"\x1a")], 1)
        if (data := line.removesuffix(b"\r")) != b"\x1a" and data.strip(b" \t\n\r\x0b\x0c")
    ]
    try:
        found = [(line.number, line.data) for line in read_lines(Dribble(content, size), name="f")]
    except InputError as error:
        # It begins as an archive, a page or another form.
        assume(not error.forms)
        raise
    assert found == expected


def test_lines_longer_than_a_block_are_whole():
    long = b"x" * 3_500_000
    assert lines(b"a\n" + long + b"\n" + long) == [(1, b"a"), (2, long), (3, long)]


class Sizes:
    """Lines of the given sizes, without holding them."""

    def __init__(self, *sizes):
        self._left = list(sizes)

    def read(self, size, /):
        if not self._left:
            return b""
        taken = min(size - 2, self._left[0])
        self._left[0] -= taken
        if self._left[0]:
            return b"x" * taken
        self._left.pop(0)
        return b"x" * taken + b"\r\n"


def test_a_line_over_64_mib_is_marked_and_only_its_beginning_kept():
    found = list(read_lines(Sizes(3, MAX_LINE_BYTES + 1, 10 * MAX_LINE_BYTES, MAX_LINE_BYTES, 4), name="f"))
    assert [(line.number, line.data and len(line.data)) for line in found] == [
        (1, 3),
        (2, None),
        (3, None),
        (4, MAX_LINE_BYTES),
        (5, 4),
    ]
    assert [line.head for line in found[1:3]] == [b"x" * KEPT_HEAD] * 2


CONTENT = b'\xef\xbb\xbf{"a": 1}\r\n\n{"b": 2}'
PACKED = {
    "job.jsonl": CONTENT,
    "job.jsonl.gz": gzip.compress(CONTENT),
    "two.gz": gzip.compress(CONTENT[:7]) + gzip.compress(CONTENT[7:]),
    "job.jsonl.zst": zstandard.compress(CONTENT),
    "two.ZST": zstandard.compress(CONTENT[:7]) + zstandard.compress(CONTENT[7:]),
    "skippable.zst": b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab" + zstandard.compress(CONTENT),
    "gzip-by-content": gzip.compress(CONTENT),
    "zstd-by-content.jsonl": zstandard.compress(CONTENT),
}


@pytest.mark.parametrize(("name", "packed"), PACKED.items(), ids=PACKED.keys())
def test_a_file_is_read_digested_and_read_again_however_it_is_packed(tmp_path, name, packed):
    path = tmp_path / name
    path.write_bytes(packed)
    with open_source(str(path)) as source:
        for _ in range(2):
            assert digest(source) == hashlib.sha256(CONTENT).digest()
            found = [(line.number, line.data) for line in read_lines(source, name=source.name)]
            assert found == [(1, b'{"a": 1}'), (3, b'{"b": 2}')]


def test_large_zstd_content_of_little_size_is_read_whole(tmp_path):
    path = tmp_path / "a.zst"
    content = (b"x" * 399 + b"\n") * 50_000
    path.write_bytes(zstandard.compress(content))
    with open_source(str(path)) as source:
        assert sum(1 for line in read_lines(source, name="a") if line.data == b"x" * 399) == 50_000


BROKEN = {
    "torn.gz": (gzip.compress(CONTENT)[:-5], "ends in the middle of its compressed data"),
    "torn.zst": (zstandard.compress(CONTENT)[:-5], "ends in the middle of its compressed data"),
    "second-torn.zst": (zstandard.compress(CONTENT) + zstandard.compress(CONTENT)[:6], "ends in the middle"),
    "plain.gz": (CONTENT, "is not a whole gzip file"),
    "plain.zst": (CONTENT, "is not a whole zstd file"),
    "damaged.gz": (gzip.compress(CONTENT)[:-8] + b"\0" * 8, "is not a whole gzip file"),
    "rest.zst": (zstandard.compress(CONTENT) + b"garbage", "is not a whole zstd file"),
}


@pytest.mark.parametrize(("name", "case"), BROKEN.items(), ids=BROKEN.keys())
def test_a_torn_or_wrongly_packed_file_is_an_input_error(tmp_path, name, case):
    packed, message = case
    path = tmp_path / name
    path.write_bytes(packed)
    with open_source(str(path)) as source:
        with pytest.raises(InputError, match=message) as refused:
            list(read_lines(source, name=source.name))
        assert refused.value.source == str(path)
        assert words(refused.value.hint)
        with pytest.raises(InputError, match=message):
            digest(source)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "is a folder"),
        ("missing.jsonl", "does not exist"),
        ("a\0b", "cannot be read"),
        ("", "does not exist"),
    ],
)
def test_what_is_no_readable_file_is_an_input_error(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as refused:
        open_source(path)
    assert words(refused.value.hint)


def test_a_file_without_the_right_to_read_it_is_an_input_error(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        open_source("secret.jsonl")


def test_a_fault_while_reading_is_an_input_error():
    def read(_size):
        raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match=r"job\.jsonl cannot be read: Input/output error"):
        list(read_lines(SimpleNamespace(read=read), name="job.jsonl"))


@pytest.mark.parametrize(
    "packed", [CONTENT, gzip.compress(CONTENT), zstandard.compress(CONTENT)], ids=["plain", "gzip", "zstd"]
)
def test_stdin_is_kept_so_that_it_can_be_read_twice(monkeypatch, packed):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Dribble(packed, 3)))
    with open_source("-") as source:
        assert source.name == "<stdin>"
        assert digest(source) == hashlib.sha256(CONTENT).digest()
        assert [line.number for line in read_lines(source, name=source.name)] == [1, 3]


def test_a_closed_stdin_is_an_input_error(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(InputError, match="stdin is closed"):
        open_source("-")


def test_a_pipe_is_kept_so_that_it_can_be_read_twice(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(CONTENT,))
    writer.start()
    with open_source(str(pipe)) as source:
        writer.join()
        assert digest(source) == hashlib.sha256(CONTENT).digest()
        assert len(list(read_lines(source, name="pipe"))) == 2
