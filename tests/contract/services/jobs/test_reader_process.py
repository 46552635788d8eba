"""A large job file is read in another process: the same chunks, the same refusals, and nothing left behind."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard

from batcher.domain.errors import InputError, UsageError
from batcher.domain.settings import JobSettings
from batcher.domain.states import CacheMode
from batcher.files.reading import read_lines
from batcher.files.source import Source, open_source
from batcher.interpreter import helper_environment
from batcher.policy.input.strict_json import MAX_LINE_BYTES
from batcher.ports import Store
from batcher.services.jobs import reader_process
from batcher.services.jobs.line_chunks import Chunk, ParseOptions, chunks
from batcher.services.jobs.options import SubmitOptions
from batcher.services.jobs.reader_process import read_chunks
from batcher.services.jobs.submit import submit_file
from tests.support.messages import words
from tests.support.stores import ManualClock, table

TOP = Path(__file__).parents[4]
OPTIONS = ParseOptions(url="/v1/embeddings", cache=CacheMode.DETERMINISTIC)


def line(number: int, **body: Any) -> bytes:
    made = {"model": "m", "messages": [{"role": "user", "content": f"what is {number}? \u2028 ü"}], **body}
    whole = {"custom_id": f"r{number}", "method": "POST", "url": "/v1/chat/completions", "body": made}
    return json.dumps(whole, ensure_ascii=False).encode() + b"\n"


CONTENT = b"".join(
    [
        b"\xef\xbb\xbf",
        *(line(number, seed=number) for number in range(40)),
        b"\n  \n",
        b'{"model": "e", "input": "bare"}\r\n',
        b"no json\n",
        line(41, temperature=0.7),
        b'{"custom_id": "' + b"x" * 600 + b'"}\n',
        b'"' + b"y" * MAX_LINE_BYTES + b'"\n',
        line(42).rstrip(),
    ]
)


@pytest.fixture(autouse=True)
def children(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every file is worth a process; afterwards none is left."""
    monkeypatch.setattr(reader_process, "_MIN_BYTES", 1)
    started: list[subprocess.Popen[bytes]] = []
    start = reader_process._start

    def noted(*arguments: Any) -> Any:
        reader = start(*arguments)
        if reader is not None:
            started.append(reader)
        return reader

    monkeypatch.setattr(reader_process, "_start", noted)
    yield started
    for each in started:
        assert each.returncode is not None, "a process that was not waited for"


@contextmanager
def piped(content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with open_source("-") as source:
        yield source


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def joined(parts: Iterator[Chunk]) -> tuple[list[Any], list[Any]]:
    found = list(parts)
    return [each for part in found for each in part.lines], [each for part in found for each in part.bad]


@pytest.fixture(params=["plain", "gzip", "zstd", "stdin"])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    if request.param == "stdin":
        with piped(CONTENT, monkeypatch) as opened:
            yield opened
        return
    pack: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "plain": ("f.jsonl", bytes),
        "gzip": ("f.jsonl.gz", gzip.compress),
        "zstd": ("f.jsonl.zst", zstandard.compress),
    }
    name, packed = pack[request.param]
    with open_source(str(stored(tmp_path / name, packed(CONTENT)))) as opened:
        yield opened


def test_the_same_lines_come_out_as_if_they_were_read_here(
    source: Source, children: list[subprocess.Popen[bytes]]
):
    """Wherever this process stands in the file meanwhile: it may be reading it too."""
    here = joined(chunks(read_lines(source, name=source.name), OPTIONS))
    source.rewind()
    source.read(1000)
    with read_chunks(source, OPTIONS) as parts:
        assert joined(parts) == here
    lines, bad = here
    assert len(children) == 1
    assert (len(lines), len(bad)) == (43, 3)
    assert [each.fingerprint is not None for each in lines] == [True] * 41 + [False, False]


def test_a_file_that_cannot_be_unpacked_to_its_end_is_refused_in_the_same_words(tmp_path: Path):
    path = stored(tmp_path / "f.jsonl.gz", gzip.compress(CONTENT)[:-20])
    with open_source(str(path)) as source:
        with pytest.raises(InputError) as here:
            list(read_lines(source, name=source.name))
        source.rewind()
        with read_chunks(source, OPTIONS) as parts, pytest.raises(InputError) as there:
            joined(parts)
    assert str(there.value) == str(here.value)
    assert there.value.source == str(path)


def test_a_file_that_is_changed_while_it_is_read_is_refused(tmp_path: Path):
    path = stored(tmp_path / "f.jsonl", CONTENT)
    with open_source(str(path)) as source, read_chunks(source, OPTIONS) as parts:
        with path.open("ab") as file:
            file.write(b"\n" + line(99))
        with pytest.raises(InputError, match="was changed while it was read"):
            joined(parts)


@pytest.mark.parametrize("program", ["", "/bin/false", "/nowhere/python"])
def test_where_no_process_can_be_started_it_is_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
):
    monkeypatch.setattr(sys, "executable", program)
    with open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source, read_chunks(source, OPTIONS) as parts:
        assert len(joined(parts)[0]) == 43


def starting(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Start this program instead of the reader, with the reader's argument."""

    def command(_module: str, task: str) -> list[str]:
        return [sys.executable, "-c", program, task]

    monkeypatch.setattr(reader_process, "helper_command", command)


#: What may stand in the place of the reader, and say or do something else.
FOREIGN = {
    "says something on its stdout": "import sys; sys.stdout.write('y\\n' * 100_000)",
    "says something on the pipe": "import os, json, sys; os.write(json.loads(sys.argv[1])['pipe'], b'y\\n' * 99)",
    "says less": "import os, json, sys; os.write(json.loads(sys.argv[1])['pipe'], b'y')",
    "knows another word": "import os, json, sys; os.write(json.loads(sys.argv[1])['pipe'], b'0' * 99)",
    "says nothing": "import time; time.sleep(60)",
}


@pytest.mark.parametrize("program", FOREIGN.values(), ids=FOREIGN)
def test_what_another_program_says_is_not_taken_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, children: list[subprocess.Popen[bytes]]
):
    starting(monkeypatch, program)
    monkeypatch.setattr(reader_process, "_PATIENCE", 1.0)
    with open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source, read_chunks(source, OPTIONS) as parts:
        assert len(joined(parts)[0]) == 43
    assert len(children) == 1


def test_a_message_of_absurd_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    starting(
        monkeypatch,
        "import os, json, sys\ntask = json.loads(sys.argv[1])\n"
        "os.write(task['pipe'], task['word'].encode() + b'y\\n' * 1000)",
    )
    with (
        open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source,
        read_chunks(source, OPTIONS) as parts,
        pytest.raises(RuntimeError, match="exited with code 0"),
    ):
        joined(parts)


def test_where_memory_is_short_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    starting(
        monkeypatch,
        "from batcher.services.jobs import reader_process as r\n"
        "def broken(*_):\n    raise MemoryError\n"
        "r.chunks = broken\nr.main()",
    )
    with (
        open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source,
        read_chunks(source, OPTIONS) as parts,
        pytest.raises(InputError, match="there is not enough memory") as caught,
    ):
        joined(parts)
    assert "ulimit -v" in words(caught.value.hint)


def test_a_program_that_was_started_as_a_reader_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An application that embeds Python, does at its start what it was doing, and calls itself python3."""
    monkeypatch.setattr(os, "environ", helper_environment())
    with (
        open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source,
        pytest.raises(UsageError, match="started by another batcher as a helper"),
        read_chunks(source, OPTIONS),
    ):
        pass


def test_a_small_file_and_what_is_no_file_are_read_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[bytes]]
):
    with read_chunks(Source(io.BytesIO(CONTENT), name="f.jsonl", packing=""), OPTIONS) as parts:
        assert len(joined(parts)[0]) == 43
    monkeypatch.setattr(reader_process, "_MIN_BYTES", 10**9)
    with open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source, read_chunks(source, OPTIONS) as parts:
        assert len(joined(parts)[0]) == 43
    assert not children


def many(tmp_path: Path) -> Path:
    """More than the pipe holds."""
    return stored(tmp_path / "many.jsonl", b"".join(line(number) for number in range(20_000)))


def test_when_nothing_more_is_asked_for_the_other_process_ends(tmp_path: Path):
    with open_source(str(many(tmp_path))) as source, read_chunks(source, OPTIONS) as parts:
        assert next(parts).lines


def test_a_reader_that_is_killed_leaves_nothing_stored(
    tmp_path: Path, database: Store, children: list[subprocess.Popen[bytes]]
):
    def kill(_: int) -> None:
        os.kill(children[0].pid, signal.SIGKILL)

    with (
        open_source(str(many(tmp_path))) as source,
        pytest.raises(InputError, match=r"the process reading it was killed \(signal 9\)"),
    ):
        submit_file(
            database,
            source,
            JobSettings(base_url="http://127.0.0.1:1/v1"),
            SubmitOptions(),
            clock=ManualClock(),
            progress=kill,
        )
    assert table(database, "jobs") == table(database, "requests") == []


def test_a_fault_of_our_own_in_there_is_told_with_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    starting(
        monkeypatch,
        "from batcher.services.jobs import reader_process as r\n"
        "def broken(*_):\n    raise SystemExit('a fault of ours')\n"
        "r.chunks = broken\nr.main()",
    )
    with (
        open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source,
        read_chunks(source, OPTIONS) as parts,
        pytest.raises(RuntimeError, match="exited with code 1: a fault of ours"),
    ):
        joined(parts)


def test_a_job_is_the_same_wherever_its_file_was_read(
    tmp_path: Path, database: Store, monkeypatch: pytest.MonkeyPatch
):
    rows = []
    for worth in (1, 10**9):
        monkeypatch.setattr(reader_process, "_MIN_BYTES", worth)
        with open_source(str(stored(tmp_path / "f.jsonl", CONTENT))) as source:
            options = SubmitOptions(skip_invalid=True, new=True, url="/v1/embeddings")
            told = submit_file(
                database,
                source,
                JobSettings(base_url="http://127.0.0.1:1/v1"),
                options,
                clock=ManualClock(),
            )
        assert told.rejected == 3
        rows.append(
            [
                {
                    name: row[name]
                    for name in ("line", "custom_id", "fingerprint", "size", "est_input", "est_output")
                }
                for row in table(database, "requests")
                if row["job_id"] == told.job.id
            ]
        )
    assert rows[0] == rows[1]
    assert len(rows[0]) == 43
