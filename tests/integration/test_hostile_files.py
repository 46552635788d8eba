"""A corpus of hostile job files: each is taken whole or refused whole, never a traceback, never half a file."""

import json
import os
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batcher.domain.errors import InputError
from batcher.files.source import open_source
from tests.support.commands import Called, batcher
from tests.support.endpoints import Came, Says, endpoint
from tests.support.hostile import FILES, REFUSED, TAKEN, envelope
from tests.support.programs import jobs_now, rows_of

pytestmark = pytest.mark.usefixtures("folder")

NOWHERE = ("--base-url", "http://127.0.0.1:1/v1")


def refused_by(*args: object) -> Called:
    """The command refuses its input, in words."""
    called = batcher(*args)
    assert called.code == 2, called
    said = called.out + called.err
    assert "internal error" not in said
    assert "Traceback" not in said
    assert "\x1b" not in said
    return called


def every_door(file: object) -> list[Called]:
    """`check`, `submit` and `run` of what must be refused."""
    submits = [refused_by(command, file, *NOWHERE) for command in ("submit", "run")]
    assert submits[0].err == submits[1].err
    return [refused_by("check", file), *submits]


def test_every_hostile_line_is_refused_by_its_number_and_reason() -> None:
    good = (json.dumps(json.loads(envelope(custom_id=f"good-{n}"))).encode() for n in range(len(REFUSED)))
    path = Path("j.jsonl")
    path.write_bytes(b"".join(fine + b"\n" + bad + b"\n" for fine, (_, bad) in zip(good, REFUSED, strict=True)))
    told = refused_by("check", path, *NOWHERE, "--json").json
    assert (told["lines"], told["valid"], told["invalid"]) == (2 * len(REFUSED), len(REFUSED), len(REFUSED))
    listed = told["errors"]
    assert listed == refused_by("submit", path, *NOWHERE, "--json").json["error"]["lines"]
    assert [each["line"] for each in listed] == [2 * number for number in range(1, len(REFUSED) + 1)]
    for each, (word, raw) in zip(listed, REFUSED, strict=True):
        assert word in each["reason"], (raw[:200], each["reason"])
        assert len(each["reason"]) < 200
    assert jobs_now() == []


def test_each_hostile_line_alone_is_enough_to_refuse_the_file() -> None:
    # Those of a fourth: the test before has them all.
    for number, (word, raw) in enumerate(REFUSED[::4]):
        path = Path("j.jsonl")
        path.write_bytes(envelope(custom_id="good") + b"\n" + raw)
        called = refused_by("submit", path, *NOWHERE)
        assert called.err.startswith("j.jsonl:2: "), (number, called.err)
        assert word in called.err
        assert called.err.count("j.jsonl:") == 2
    assert jobs_now() == []


#: An answer of every endpoint at once.
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "x"}, "text": "x", "finish_reason": "stop"}],
    "data": [{"embedding": [0.5]}],
    "results": [{"flagged": False}],
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "x"}]}],
    "status": "completed",
}


def answered(came: Came) -> Says:
    """An answer for every path. Embeddings get a vector for each input: a text or its tokens is one."""
    asked = came.json.get("input")
    is_one = not isinstance(asked, list) or all(isinstance(item, int) for item in asked)
    return Says(200, {**ANSWER, "data": [{"embedding": [0.5]}] * (1 if is_one else len(asked))})


def own_ids() -> list[bytes]:
    """TAKEN, with an id and a body of its own for each."""
    return [
        raw.replace(b"ID", b"%d" % number, 1).replace(b'"model": "m"', b'"model": "m-%d"' % number, 1)
        for number, raw in enumerate(TAKEN)
    ]


def body_of(raw: bytes) -> Any:
    """What should be sent of a line, as a document."""
    document = json.loads(raw)
    return document.get("body", {key: value for key, value in document.items() if key != "custom_id"})


def test_every_strange_line_goes_out_byte_for_byte_and_comes_back_by_its_name() -> None:
    lines = own_ids()
    path = Path("j.jsonl")
    path.write_bytes(b"\n".join(lines))
    assert batcher("check", path).code == 0
    with endpoint(answered) as site:
        called = batcher("run", path, "--base-url", site.url)
        assert called.code == 0, [row["error"] for row in rows_of("j.errors.jsonl")]
        bodies = [came.body for came in site.came]
    assert "\x1b" not in called.out + called.err
    assert len(bodies) == len(lines)
    texts = {line: json.dumps(body_of(line)) for line in lines}
    for body in bodies:
        of = [line for line, text in texts.items() if text == json.dumps(json.loads(body))]
        assert len(of) == 1
        if b'"body": {' in of[0]:
            assert body in of[0]
    ids = [row["custom_id"] for row in rows_of("j.results.jsonl")]
    assert ids == [json.loads(line).get("custom_id") or f"line-{n}" for n, line in enumerate(lines, 1)]
    for command in (("status",), ("status", 1), ("results", 1, "-o", "again.jsonl"), ("dlq", "list")):
        shown = batcher(*command)
        assert shown.code == 0
        assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(("name", "content", "words"), FILES, ids=[name for name, _, _ in FILES])
def test_a_hostile_file_is_taken_whole_or_refused_whole(name: str, content: bytes, words: str | None) -> None:
    Path(name).write_bytes(content)
    path = f"./{name}" if name.startswith("-") else name
    if words is not None:
        for called in every_door(path):
            assert words in called.out + called.err
        assert jobs_now() == []
        return
    assert batcher("check", path).code == 0
    called = batcher("run", path, "--simulate")
    assert called.code == 0, called
    (job,) = jobs_now()
    assert job["counts"]["completed"] == 1
    assert "\x1b" not in called.out + called.err


def test_what_is_no_file_is_refused_by_name() -> None:
    Path("folder").mkdir()
    Path("loop").symlink_to("loop")
    Path("dangling").symlink_to("nowhere")
    for name, word in [
        ("folder", "is a folder"),
        ("missing", "does not exist"),
        ("missing/file", "does not exist"),
        ("loop", "cannot be read"),
        ("dangling", "does not exist"),
        ("/dev/zero", "is a device"),
        ("/dev/null", "is a device"),
        ("x" * 300, "cannot be read"),
        ("", "does not exist"),
    ]:
        for called in every_door(name):
            assert word in called.err, name
    assert jobs_now() == []


def test_a_named_pipe_is_read_to_its_end() -> None:
    os.mkfifo("pipe")
    thread = threading.Thread(target=lambda: Path("pipe").write_bytes(envelope() + b"\n{"))
    thread.start()
    called = refused_by("submit", "pipe", *NOWHERE)
    thread.join(10)
    assert "pipe:2: not JSON" in called.err


@pytest.mark.parametrize("args", [("check",), ("submit", *NOWHERE), ("run", "--simulate"), ("check", "--json")])
def test_a_name_that_is_not_utf_8_is_refused_before_anything(args: tuple[str, ...]) -> None:
    name = os.fsdecode(b"bad\xff.jsonl")
    Path(name).write_bytes(envelope())
    for more in ((name,), (".", "-o", name), (".", "--name", name), (".", "--db", name)):
        assert "is not UTF-8" in refused_by(*args, *more).err
    assert sorted(os.listdir(b".")) == [b"bad\xff.jsonl"]  # noqa: PTH208 - names as bytes
    with pytest.raises(InputError, match="not UTF-8"):
        open_source(name)


def test_a_working_directory_that_is_gone_or_cannot_be_named_is_an_error_in_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = folder / os.fsdecode(b"\xff")
    strange.mkdir()
    monkeypatch.chdir(strange)
    assert "the working directory" in refused_by("status").err
    strange.rmdir()
    assert "the working directory cannot be found" in refused_by("status", "--json").err


@pytest.mark.parametrize("change", ["grows", "is cut", "is rewritten"])
def test_a_file_that_changes_while_it_is_read_is_refused(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path("j.jsonl")
    path.write_bytes(b"".join(envelope(custom_id=str(n)) + b"\n" for n in range(10)))
    before = path.stat()

    def changes(*_: object) -> None:
        content = path.read_bytes()
        path.write_bytes({"grows": content * 2, "is cut": content[:50], "is rewritten": content}[change])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))

    monkeypatch.setattr("batcher.services.jobs.submit._check_name", changes)
    assert "was changed while it was read" in refused_by("submit", path, *NOWHERE).err
    assert jobs_now() == []


def test_an_untouched_file_may_be_read_twice() -> None:
    Path("j.jsonl").write_bytes(envelope())
    with closing(open_source("j.jsonl")) as source:
        for _ in range(2):
            assert source.read(1_000) == envelope()
            assert source.read(1) == b""
            source.rewind()


def test_everything_made_is_its_owners_alone_whatever_the_umask() -> None:
    before = os.umask(0)
    try:
        Path("j.jsonl").write_bytes(envelope() + b"\n{")
        Path("j.jsonl").chmod(0o600)
        assert batcher("run", "j.jsonl", "--simulate", "--skip-invalid", "--log-file", "log", "-v").code == 3
        assert batcher("bundle", "--job", 1, "-o", "b.zip").code == 0
        assert batcher("db", "backup", "copy.db").code == 0
        assert batcher("results", 1, "-o", "again.jsonl", "--errors", "e.jsonl").code == 0
        assert batcher("submit", "j.jsonl", "--simulate", "--skip-invalid", "--new").code == 0
    finally:
        os.umask(before)
    made = sorted(Path().iterdir())
    assert len(made) > 10
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in made} == {path.name: 0o600 for path in made}
